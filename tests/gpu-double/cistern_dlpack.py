"""cistern_dlpack: libcistern by ctypes, and a DLPack capsule made by hand over one pinned block.

    cistern_acquire ─▶ struct cistern_view ─▶ Block.__dlpack__ ─▶ capsule ─▶ a library's from_dlpack
                                                                                 │ its array goes
    cistern_release ◀── deleter, from any thread ◀───────────────────────────────┘

For the tests alone: it shows that a view is all that an engine needs. Layouts are those of
cistern.h, and of dlpack.h 0.8 (the capsule without a version, which every library takes).
"""
import ctypes
import os

HOST, DEVICE = 0, 1  # enum cistern_tier
DL_CPU, DL_CUDA = 1, 2  # DLDeviceType
DL_INT, DL_UINT, DL_FLOAT = 0, 1, 2  # DLDataTypeCode
OK, MISS, PINS = 0, 1, -101


class Namespace(ctypes.Structure):
    _fields_ = (
        [("size", ctypes.c_uint32), ("block_tokens", ctypes.c_uint32),
         ("block_bytes", ctypes.c_uint64)]
        + [(name, ctypes.c_char_p) for name in
           ("name", "model", "dtype", "layout", "rope", "lora", "engine", "tenant")]
        + [(name, ctypes.c_uint32) for name in
           ("layers", "heads", "head_size", "tp_rank", "tp_size", "pp_rank", "pp_size",
            "reserved")]
        + [("secret", ctypes.c_void_p), ("secret_bytes", ctypes.c_size_t)])


class Options(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint32), ("flags", ctypes.c_uint32),
        ("space", ctypes.POINTER(Namespace)), ("socket_path", ctypes.c_char_p),
        ("threads_max", ctypes.c_uint32), ("pins_per_thread", ctypes.c_uint32),
        ("grants_ahead", ctypes.c_uint32), ("reserved", ctypes.c_uint32),
        ("timeout_ns", ctypes.c_int64)]


class Key(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 32)]


class View(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64), ("tier", ctypes.c_uint32),
        ("opaque", ctypes.c_uint32 * 5)]


class Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


class Managed(ctypes.Structure):
    """DLManagedTensor."""


# The first takes the GIL when it is called: a library may drop its tensor without it. A capsule is
# destroyed with the GIL held, and is no whole object any more: an address.
Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(Managed))
Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
Managed._fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", Deleter)]

_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, Destructor)
_api.PyCapsule_IsValid.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
_api.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)

UNUSED, USED = b"dltensor", b"used_dltensor"  # a consumer renames the capsule that it took
_exported = {}  # by address of the Managed: what must live until its deleter runs


@Deleter
def _delete(managed):
    client, view = _exported.pop(ctypes.addressof(managed.contents))[:2]
    client.release(view)


@Destructor
def _destroy(capsule):
    if _api.PyCapsule_IsValid(capsule, UNUSED):
        address = _api.PyCapsule_GetPointer(capsule, UNUSED)
        _delete(ctypes.pointer(Managed.from_address(address)))


class Block:
    """A pinned block as an array; given away once, to whoever takes the capsule."""

    def __init__(self, client, view, shape, code, bits):
        self.client, self.view = client, view
        self.shape, self.code, self.bits = shape, code, bits

    def __dlpack_device__(self):
        return (DL_CUDA if self.view.tier == DEVICE else DL_CPU, 0)

    def __dlpack__(self, **_stream_and_wishes):
        kind, number = self.__dlpack_device__()
        shape = (ctypes.c_int64 * len(self.shape))(*self.shape)
        # No strides: dense, the last index fastest. The offset stays 0: some ignore it.
        tensor = Tensor(data=self.view.data, device_type=kind, device_id=number,
                        ndim=len(self.shape), code=self.code, bits=self.bits, lanes=1,
                        shape=shape)
        managed = Managed(tensor=tensor, deleter=_delete)
        address = ctypes.addressof(managed)
        _exported[address] = (self.client, self.view, managed, shape)
        return _api.PyCapsule_New(address, UNUSED, _destroy)


def exported():
    """How many arrays live."""
    return len(_exported)


def take(capsule):
    """What a consumer does first: the Managed of a capsule, which is its own from here on."""
    address = _api.PyCapsule_GetPointer(id(capsule), UNUSED)
    _api.PyCapsule_SetName(capsule, USED)
    return Managed.from_address(address)


class Client:
    """A handle. Every call but open() returns the status; releases may come from any thread."""

    def __init__(self, socket, block_bytes, pins):
        build = os.environ["CISTERN_BUILD"]
        names = [os.path.join(build, folder, "libcistern.so.0") for folder in ("libclient", "lib")]
        self.library = ctypes.CDLL(next(name for name in names if os.path.exists(name)))
        self.library.cistern_why.restype = ctypes.c_char_p
        space = Namespace(size=ctypes.sizeof(Namespace), block_tokens=16, block_bytes=block_bytes,
                          name=b"dlpack", model=b"none", dtype=b"float16", layout=b"[16][..]")
        options = Options(size=ctypes.sizeof(Options), space=ctypes.pointer(space),
                          socket_path=socket.encode(), pins_per_thread=pins,
                          timeout_ns=20_000_000_000)
        self.handle = ctypes.c_void_p()
        status = self.library.cistern_open(ctypes.byref(options), ctypes.byref(self.handle))
        if status != OK:
            raise OSError(f"cistern_open: {status}: {self.why()}")

    def why(self):
        return self.library.cistern_why().decode()

    def close(self):
        self.library.cistern_close(ctypes.byref(self.handle))

    def put(self, key, data):
        status = self.library.cistern_put(
            self.handle, ctypes.byref(key), None, data, ctypes.c_uint64(len(data)))
        return status or self.library.cistern_flush(self.handle, ctypes.c_int64(20_000_000_000))

    def acquire(self, key):
        """(status, view); the view is pinned if the status is OK."""
        view, count = View(), ctypes.c_size_t()
        status = self.library.cistern_acquire(
            self.handle, ctypes.byref(key), ctypes.c_size_t(1), ctypes.byref(view),
            ctypes.byref(count))
        return status, view

    def release(self, view):
        return self.library.cistern_release(
            self.handle, ctypes.byref(view), ctypes.c_size_t(1))
