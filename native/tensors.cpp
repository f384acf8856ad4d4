// Tensors in and out of JavaScript: typed arrays, memory-mapped files, facts about a tensor, and the life of its handle.
#include "binding.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/CPUAllocator.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace tunesmith {
namespace {

struct ArrayView {
  void* data;
  size_t length;
  size_t bytes;
};

size_t elementSize(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array: return 1;
    case napi_int16_array:
    case napi_uint16_array: return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array: return 4;
    default: return 8;
  }
}

ArrayView readArray(napi_env env, napi_value value) {
  napi_typedarray_type type;
  ArrayView view{};
  if (napi_get_typedarray_info(env, value, &type, &view.length, &view.data, nullptr, nullptr) != napi_ok) throw ArgumentError("expected a typed array");
  view.bytes = view.length * elementSize(type);
  return view;
}

c10::ScalarType readDtype(napi_env env, napi_value value) {
  const int64_t code = readInt(env, value, "dtype");
  if (code < 0 || code >= static_cast<int64_t>(c10::ScalarType::NumOptions)) throw ArgumentError("unknown dtype");
  return static_cast<c10::ScalarType>(code);
}

int64_t countOf(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0) throw ArgumentError("negative size in a shape");
    if (__builtin_mul_overflow(count, size, &count)) throw ArgumentError("a shape too large to count");
  }
  return count;
}

// fromBytes(typedArray, shape, dtype): one copy into libtorch's memory. The array's bytes are the values' bits.
TUNESMITH_FUNCTION(fromBytes) {
  return guarded(env, [&] {
    Arguments a(env, info);
    settle(environmentOf(env));
    const ArrayView view = readArray(env, a[0]);
    const auto shape = readInts(env, a[1], "shape");
    const auto dtype = readDtype(env, a[2]);
    const int64_t count = countOf(shape);
    const size_t width = c10::elementSize(dtype);
    if (static_cast<size_t>(count) > SIZE_MAX / width || count * width != view.bytes)
      throw ArgumentError("expected " + std::to_string(count) + " values for the shape, got " + std::to_string(view.bytes / width));
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
    if (view.bytes > 0) std::memcpy(tensor.mutable_data_ptr(), view.data, view.bytes);
    return makeTensor(env, tensor);
  });
}

// copyInto(handle, typedArray): the tensor's values, row-major, as bits, into memory that JavaScript owns.
TUNESMITH_FUNCTION(copyInto) {
  return guarded(env, [&] {
    Arguments a(env, info);
    at::Tensor tensor = readTensor(env, a[0]).detach();
    if (!tensor.device().is_cpu()) tensor = tensor.cpu();
    tensor = tensor.resolve_conj().resolve_neg().contiguous();
    const ArrayView view = readArray(env, a[1]);
    if (view.bytes != tensor.nbytes())
      throw ArgumentError("expected room for " + std::to_string(tensor.nbytes()) + " bytes, got " + std::to_string(view.bytes));
    if (view.bytes > 0) std::memcpy(view.data, tensor.const_data_ptr(), view.bytes);
    return makeUndefined(env);
  });
}

struct Mapping {
  void* address = MAP_FAILED;
  size_t bytes = 0;
  ~Mapping() {
    if (address != MAP_FAILED) munmap(address, bytes);
  }
};

struct MappedFile {
  std::shared_ptr<Mapping> mapping;
};

// mapFile(path) -> external holding the whole file, mapped copy-on-write: writing to a mapped tensor never reaches the file.
TUNESMITH_FUNCTION(mapFile) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::string path = readString(env, a[0], "path");
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) throw std::runtime_error("cannot open " + path + ": " + std::strerror(errno));
    struct stat status{};
    auto mapping = std::make_shared<Mapping>();
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
      mapping->bytes = static_cast<size_t>(status.st_size);
      mapping->address = mmap(nullptr, mapping->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, 0);
    }
    const int reason = errno;
    close(file);
    if (!S_ISREG(status.st_mode)) throw std::runtime_error("cannot map " + path + ": not a regular file");
    if (mapping->bytes > 0 && mapping->address == MAP_FAILED) throw std::runtime_error("cannot map " + path + ": " + std::strerror(reason));
    auto* box = new MappedFile{mapping};
    napi_value external, result;
    check(env, napi_create_external(env, box, [](node_api_basic_env, void* data, void*) { delete static_cast<MappedFile*>(data); }, nullptr, &external), "a mapping");
    napi_create_object(env, &result);
    setField(env, result, "external", external);
    setField(env, result, "bytes", makeNumber(env, static_cast<double>(mapping->bytes)));
    return result;
  });
}

// mapTensor(external, byteOffset, shape, dtype): a tensor over a part of a mapped file; the mapping lives as long as any tensor on it.
TUNESMITH_FUNCTION(mapTensor) {
  return guarded(env, [&] {
    Arguments a(env, info);
    void* data;
    if (napi_get_value_external(env, a[0], &data) != napi_ok) throw ArgumentError("expected a mapped file");
    const auto mapping = static_cast<MappedFile*>(data)->mapping;
    const int64_t offset = readInt(env, a[1], "byteOffset");
    const auto shape = readInts(env, a[2], "shape");
    const auto dtype = readDtype(env, a[3]);
    const int64_t width = static_cast<int64_t>(c10::elementSize(dtype));
    int64_t bytes, end;
    if (__builtin_mul_overflow(countOf(shape), width, &bytes) || offset < 0 || __builtin_add_overflow(offset, bytes, &end) || static_cast<size_t>(end) > mapping->bytes)
      throw ArgumentError("a tensor beyond the end of the mapped file");
    const auto options = at::TensorOptions().dtype(dtype);
    if (bytes == 0) return makeTensor(env, at::empty(shape, options));
    char* start = static_cast<char*>(mapping->address) + offset;
    if (reinterpret_cast<uintptr_t>(start) % width != 0) {  // vector loads want whole elements: copy the odd case
      at::Tensor copy = at::empty(shape, options);
      std::memcpy(copy.mutable_data_ptr(), start, bytes);
      return makeTensor(env, copy);
    }
    return makeTensor(env, at::from_blob(start, shape, [mapping](void*) {}, options));
  });
}

// item(handle): the only value of a one-element tensor, as number, boolean, or bigint where a number would round.
TUNESMITH_FUNCTION(item) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const at::Scalar scalar = readTensor(env, a[0]).item();
    if (scalar.isBoolean()) return makeBool(env, scalar.toBool());
    if (scalar.isIntegral(false)) {
      napi_value big;
      if (scalar.type() == c10::ScalarType::UInt64 && scalar.toUInt64() > 9007199254740991) {
        check(env, napi_create_bigint_uint64(env, scalar.toUInt64(), &big), "a bigint");
        return big;
      }
      const int64_t value = scalar.toLong();
      if (value > 9007199254740991 || value < -9007199254740991) {
        check(env, napi_create_bigint_int64(env, value, &big), "a bigint");
        return big;
      }
      return makeNumber(env, static_cast<double>(value));
    }
    return makeNumber(env, scalar.toDouble());
  });
}

TUNESMITH_FUNCTION(shape) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return makeInts(env, readTensor(env, a[0]).sizes());
  });
}

TUNESMITH_FUNCTION(strides) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return makeInts(env, readTensor(env, a[0]).strides());
  });
}

TUNESMITH_FUNCTION(dtype) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return makeNumber(env, static_cast<double>(readTensor(env, a[0]).scalar_type()));
  });
}

TUNESMITH_FUNCTION(device) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return makeString(env, readTensor(env, a[0]).device().str());
  });
}

TUNESMITH_FUNCTION(isContiguous) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return makeBool(env, readTensor(env, a[0]).is_contiguous());
  });
}

// sameStorage(a, b): whether two tensors look at the same memory (tied weights).
TUNESMITH_FUNCTION(sameStorage) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return makeBool(env, readTensor(env, a[0]).is_alias_of(readTensor(env, a[1])));
  });
}

// freeMany(Float64Array of handles)
TUNESMITH_FUNCTION(freeMany) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const ArrayView view = readArray(env, a[0]);
    const auto* handles = static_cast<const double*>(view.data);
    for (size_t i = 0; i < view.length; i++) dropTensor(static_cast<Handle>(handles[i]));
    settle(environmentOf(env));
    return makeUndefined(env);
  });
}

// The safety net for a tensor that no scope owns: an external whose finalizer drops the handle, with its bytes told to V8.
struct Guard {
  Environment* environment;
  Handle handle;
  int64_t bytes;
};

void finalizeGuard(node_api_basic_env, void* data, void*) {
  // Runs inside the garbage collector: touches no JavaScript.
  auto* guard = static_cast<Guard*>(data);
  dropTensor(guard->handle);
  {
    std::lock_guard<std::mutex> lock(guard->environment->mutex);
    guard->environment->externalBytes -= guard->bytes;
  }
  delete guard;
}

// guard(handle) -> external; the tensor lives until the external is collected or the handle is freed.
TUNESMITH_FUNCTION(guardTensor) {
  return guarded(env, [&] {
    Arguments a(env, info);
    Environment& environment = environmentOf(env);
    const at::Tensor tensor = readTensor(env, a[0]);
    const int64_t handle = readInt(env, a[0], "handle");
    // A view owns no memory of its own, and a mapped file's is the system's to take back.
    const bool owns = tensor.has_storage() && tensor.device().is_cpu() && !tensor.is_view() && tensor.storage().data_ptr().get_deleter() == c10::GetCPUAllocator()->raw_deleter();
    const int64_t bytes = 256 + (owns ? static_cast<int64_t>(tensor.nbytes()) : 0);
    auto* guard = new Guard{&environment, handle, bytes};
    napi_value external;
    check(env, napi_create_external(env, guard, finalizeGuard, nullptr, &external), "a guard");
    {
      std::lock_guard<std::mutex> lock(environment.mutex);
      environment.externalBytes += bytes;
    }
    settle(environment);
    return external;
  });
}

// share(handle) -> a second handle that no thread owns; adopt(handle) takes it for the calling thread.
TUNESMITH_FUNCTION(share) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return makeNumber(env, static_cast<double>(putTensor(readTensor(env, a[0]), 0)));
  });
}

TUNESMITH_FUNCTION(adopt) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const Handle handle = readInt(env, a[0], "handle");
    getTensor(handle);
    setOwner(handle, environmentOf(env).ordinal);
    return makeNumber(env, static_cast<double>(handle));
  });
}

// liveTensors(all): how many handles this thread, or the whole process, holds.
TUNESMITH_FUNCTION(live) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return makeNumber(env, static_cast<double>(liveTensors(readBool(env, a[0], "all") ? -1 : environmentOf(env).ordinal)));
  });
}

}  // namespace

std::vector<Export> tensorExports() {
  return {{"fromBytes", fromBytes}, {"copyInto", copyInto}, {"mapFile", mapFile}, {"mapTensor", mapTensor}, {"item", item}, {"shape", shape}, {"strides", strides}, {"dtype", dtype}, {"device", device}, {"isContiguous", isContiguous}, {"sameStorage", sameStorage}, {"freeMany", freeMany}, {"guard", guardTensor}, {"share", share}, {"adopt", adopt}, {"liveTensors", live}};
}

}  // namespace tunesmith
