"""gpu: a GPU's memory, streams and events on our DOUBLE of the CUDA driver, by ctypes.

`Cuda` has of torch.cuda what the adapters use, and no more. Nothing here says anything of a GPU.
"""

import ctypes

NON_BLOCKING, NO_TIMING = 1, 2


class Driver:
    """The double, with a device's primary context current in this thread."""

    VERSIONS = {
        "cuInit": 2000, "cuDeviceGet": 2000, "cuDeviceGetUuid": 11040,
        "cuDevicePrimaryCtxRetain": 7000, "cuCtxSetCurrent": 4000, "cuMemAlloc": 3020,
        "cuMemFree": 3020, "cuMemcpyHtoDAsync": 3020, "cuMemcpyDtoHAsync": 3020,
        "cuStreamCreateWithPriority": 5050, "cuStreamSynchronize": 2000, "cuStreamQuery": 2000,
        "cuStreamWaitEvent": 3020, "cuEventCreate": 2000, "cuEventRecord": 2000,
        "cuEventQuery": 2000, "cuEventSynchronize": 2000,
    }

    def __init__(self):
        self.library = ctypes.CDLL("libcuda.so.1")
        self.library.cuda_double_violations.restype = ctypes.c_uint64
        self.library.cuda_double_first_violation.restype = ctypes.c_char_p
        self._entries = {}
        self.call("cuInit", ctypes.c_uint(0))
        device, context, uuid = ctypes.c_int(), ctypes.c_void_p(), (ctypes.c_ubyte * 16)()
        self.call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self.call("cuDeviceGetUuid", uuid, device)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)
        text = bytes(uuid).hex()
        self.uuid = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def result(self, name, *arguments):
        if name not in self._entries:
            entry = ctypes.c_void_p()
            found = self.library.cuGetProcAddress_v2(
                name.encode(), ctypes.byref(entry), self.VERSIONS[name], ctypes.c_uint64(0), None)
            if found != 0:
                raise OSError(f"{name}: {found}")
            self._entries[name] = ctypes.CFUNCTYPE(ctypes.c_int)(entry.value)
        return self._entries[name](*arguments)

    def call(self, name, *arguments):
        result = self.result(name, *arguments)
        if result != 0:
            raise OSError(f"{name}: {result}")

    def violations(self):
        count = self.library.cuda_double_violations()
        return f"{count}: {self.library.cuda_double_first_violation()}" if count else ""


class Event:
    def __init__(self, driver):
        self._driver = driver
        self.handle = ctypes.c_void_p()
        driver.call("cuEventCreate", ctypes.byref(self.handle), ctypes.c_uint(NO_TIMING))

    def query(self):
        return self._driver.result("cuEventQuery", self.handle) == 0

    def synchronize(self):
        self._driver.call("cuEventSynchronize", self.handle)


class Stream:
    def __init__(self, driver):
        self._driver = driver
        self.handle = ctypes.c_void_p()
        driver.call("cuStreamCreateWithPriority", ctypes.byref(self.handle),
                    ctypes.c_uint(NON_BLOCKING), ctypes.c_int(0))

    @property
    def cuda_stream(self):
        return self.handle.value

    def record_event(self):
        event = Event(self._driver)
        self._driver.call("cuEventRecord", event.handle, self.handle)
        return event

    def wait_stream(self, other):
        self._driver.call("cuStreamWaitEvent", self.handle, other.record_event().handle,
                          ctypes.c_uint(0))

    def synchronize(self):
        self._driver.call("cuStreamSynchronize", self.handle)


class Cuda:
    """Of torch.cuda: Stream() and current_stream()."""

    def __init__(self, driver):
        self._driver = driver
        self._current = Stream(driver)

    def Stream(self):  # noqa: N802, torch's own name
        return Stream(self._driver)

    def current_stream(self):
        return self._current


class Torch:
    def __init__(self, driver):
        self.cuda = Cuda(driver)


class Memory:
    """Bytes of the device, written and read in the order of a stream."""

    def __init__(self, driver, size):
        self._driver = driver
        self.size = size
        self.address = ctypes.c_uint64()
        driver.call("cuMemAlloc", ctypes.byref(self.address), ctypes.c_size_t(size))

    def set(self, data, stream):
        self._held = ctypes.create_string_buffer(data, self.size)
        self._driver.call("cuMemcpyHtoDAsync", self.address, self._held,
                          ctypes.c_size_t(self.size), stream.handle)

    def get(self, stream):
        room = ctypes.create_string_buffer(self.size)
        self._driver.call("cuMemcpyDtoHAsync", room, self.address, ctypes.c_size_t(self.size),
                          stream.handle)
        stream.synchronize()
        return room.raw
