/* capsule: see capsule.h. */
#include "libclient/python/capsule.h"

#include "libclient/python/dlpack.h"
#include "libclient/python/tensor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OLD "dltensor"
#define VERSIONED "dltensor_versioned"

/* What a capsule holds, until its consumer calls the deleter. */
struct parcel {
    struct lease *lease; /* looked at */
    uint32_t index;
    void *pages; /* mapped for it alone; NULL: none are needed */
    size_t page_bytes;
    int64_t shape[TENSOR_DIMENSIONS];
    int64_t strides[TENSOR_DIMENSIONS];
    struct dlpack_managed managed; /* one of the two is used */
    struct dlpack_versioned versioned;
};

static void discard(struct parcel *parcel)
{
    if (parcel->pages != NULL) {
        (void)munmap(parcel->pages, parcel->page_bytes);
    }
    lease_look_away(parcel->lease, parcel->index);
    free(parcel);
}

static void delete_managed(struct dlpack_managed *managed)
{
    discard(managed->context);
}

static void delete_versioned(struct dlpack_versioned *versioned)
{
    discard(versioned->context);
}

/* A capsule that nobody took; a consumer renames the one that it took. */
static void destroy(PyObject *capsule)
{
    if (PyCapsule_IsValid(capsule, OLD)) {
        struct dlpack_managed *managed = PyCapsule_GetPointer(capsule, OLD);
        managed->deleter(managed);
    } else if (PyCapsule_IsValid(capsule, VERSIONED)) {
        struct dlpack_versioned *versioned = PyCapsule_GetPointer(capsule, VERSIONED);
        versioned->deleter(versioned);
    }
}

/* The same pages at another address, read-only there. Returns where `data` is, or NULL after
 * raising. */
static char *map_again(char *data, size_t bytes, struct parcel *parcel)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t lead = (uintptr_t)data % page;
    const size_t room = (lead + bytes + page - 1) / page * page;
    /* An old size of 0 leaves a shared mapping where it is, and makes a second one of it. */
    void *pages = mremap(data - lead, 0, room, MREMAP_MAYMOVE);
    if (pages == MAP_FAILED || mprotect(pages, room, PROT_READ) != 0) {
        PyErr_Format(PyExc_BufferError,
            "the block's pages cannot be mapped read-only (%s; huge pages cannot): use .numpy(), "
            "or open the client with isolated=True",
            strerror(errno));
        if (pages != MAP_FAILED) {
            (void)munmap(pages, room);
        }
        return NULL;
    }
    parcel->pages = pages;
    parcel->page_bytes = room;
    return (char *)pages + lead;
}

static void describe(
    const struct tensor *tensor, struct parcel *parcel, char *data, struct dlpack_tensor *out)
{
    for (int i = 0; i < tensor->ndim; i++) {
        parcel->shape[i] = tensor->shape[i];
        parcel->strides[i] = tensor->strides[i] / tensor->dtype->bytes;
    }
    const bool on_device = tensor_is_on_device(tensor);
    *out = (struct dlpack_tensor){.data = data,
        .device_type = on_device ? DLPACK_CUDA : DLPACK_CPU,
        .device_id = tensor->ordinal,
        .ndim = tensor->ndim,
        .code = tensor->dtype->code,
        .bits = (uint8_t)(8 * tensor->dtype->bytes),
        .lanes = 1,
        .shape = parcel->shape,
        .strides = parcel->strides};
}

/* Look at a block in a GPU's memory, for a consumer that reads it on `stream`. */
static bool look_on(const struct tensor *tensor, void *stream)
{
    int status = lease_look_on(tensor->lease, tensor->index, stream);
    if (status == CISTERN_STALE) {
        PyErr_SetString(PyExc_ValueError, "the block was released");
    } else if (status != CISTERN_OK) {
        PyErr_SetString(PyExc_BufferError,
            status == CISTERN_BUSY
                ? "another stream reads the block already: acquire it once more for this one"
                : "the client has no device of its own, as after a loss of it");
    }
    return status == CISTERN_OK;
}

/* Returns NULL after raising. */
static struct parcel *pack(const struct tensor *tensor, void *stream, char **out_data)
{
    struct parcel *parcel = calloc(1, sizeof *parcel);
    if (parcel == NULL) {
        (void)PyErr_NoMemory();
        return NULL;
    }
    const bool on_device = tensor_is_on_device(tensor);
    if (on_device ? !look_on(tensor, stream) : !tensor_look(tensor)) {
        free(parcel);
        return NULL;
    }
    parcel->lease = tensor->lease;
    parcel->index = tensor->index;
    *out_data = tensor->data;
    if (!on_device && !tensor_is_writable(tensor) && !tensor->lease->anchor->read_only) {
        *out_data = map_again(tensor->data, (size_t)tensor->bytes, parcel);
        if (*out_data == NULL) {
            discard(parcel);
            return NULL;
        }
    }
    return parcel;
}

/* The consumer's stream as DLPack names it: None and 1 are CUDA's default one, 2 that of the
 * thread. Raises and returns false for what is none: then nobody knows when the reading ends. */
static bool read_stream(PyObject *object, bool on_device, void **out_stream)
{
    *out_stream = NULL;
    if (object == Py_None) {
        return true;
    }
    const long long number = PyLong_AsLongLong(object);
    if (number == -1 && PyErr_Occurred() != NULL) {
        return false;
    }
    if (!on_device || number < 1) {
        PyErr_SetString(PyExc_ValueError,
            on_device ? "a stream is needed, or None" : "host memory has no stream");
        return false;
    }
    *out_stream = number == 1 ? NULL : (void *)(uintptr_t)number;
    return true;
}

/* Is what the consumer asks for what we have? */
static bool check(const struct tensor *tensor, PyObject *device, PyObject *copy)
{
    const bool on_device = tensor_is_on_device(tensor);
    const int ours = on_device ? DLPACK_CUDA : DLPACK_CPU;
    int type = ours;
    int number = tensor->ordinal;
    if (device != Py_None && !PyArg_ParseTuple(device, "ii:dl_device", &type, &number)) {
        return false;
    }
    if (type != ours || number != tensor->ordinal || PyObject_IsTrue(copy) == 1) {
        PyErr_SetString(PyExc_BufferError, "a block is handed over where it lies: copy it there");
        return false;
    }
    return true;
}

PyObject *capsule_make(PyObject *object, PyObject *arguments, PyObject *words)
{
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    const struct tensor *tensor = (const struct tensor *)object;
    PyObject *stream_object = Py_None;
    PyObject *version = Py_None;
    PyObject *device = Py_None;
    PyObject *copy = Py_None;
    int major = 0;
    int minor = 0;
    char *data;
    void *stream;
    if (!PyArg_ParseTupleAndKeywords(arguments, words, "|$OOOO:__dlpack__", names, &stream_object,
            &version, &device, &copy) ||
        (version != Py_None && !PyArg_ParseTuple(version, "ii:max_version", &major, &minor)) ||
        !read_stream(stream_object, tensor_is_on_device(tensor), &stream) ||
        !check(tensor, device, copy)) {
        return NULL;
    }
    struct parcel *parcel = pack(tensor, stream, &data);
    if (parcel == NULL) {
        return NULL;
    }
    PyObject *capsule;
    if (major >= (int)DLPACK_MAJOR) {
        parcel->versioned = (struct dlpack_versioned){.major = DLPACK_MAJOR,
            .minor = DLPACK_MINOR,
            .context = parcel,
            .deleter = delete_versioned,
            .flags = tensor_is_writable(tensor) ? 0 : DLPACK_READ_ONLY};
        describe(tensor, parcel, data, &parcel->versioned.tensor);
        capsule = PyCapsule_New(&parcel->versioned, VERSIONED, destroy);
    } else {
        parcel->managed = (struct dlpack_managed){.context = parcel, .deleter = delete_managed};
        describe(tensor, parcel, data, &parcel->managed.tensor);
        capsule = PyCapsule_New(&parcel->managed, OLD, destroy);
    }
    if (capsule == NULL) {
        discard(parcel);
    }
    return capsule;
}

PyObject *capsule_device(PyObject *object, PyObject *nothing)
{
    (void)nothing;
    const struct tensor *tensor = (const struct tensor *)object;
    return Py_BuildValue(
        "(ii)", tensor_is_on_device(tensor) ? DLPACK_CUDA : DLPACK_CPU, tensor->ordinal);
}
