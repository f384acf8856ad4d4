// Tensors and JavaScript: copies from and to typed arrays, mapped files, properties of a tensor, and the lifetime of
// handles.
#include "binding.h"
#include "mapped-files.h"
#include "planning.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/CPUAllocator.h>

#include <cstring>
#include <memory>

namespace tunesmith {
namespace {

struct ArrayView {
  void* data;
  size_t length;
  size_t bytes;
};

size_t array_element_bytes(napi_typedarray_type type) {
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

ArrayView read_array(napi_env env, napi_value value) {
  napi_typedarray_type type;
  ArrayView view{};
  if (napi_get_typedarray_info(env, value, &type, &view.length, &view.data, nullptr, nullptr) != napi_ok)
    throw ArgumentError("expected a typed array");
  view.bytes = view.length * array_element_bytes(type);
  return view;
}

c10::ScalarType read_dtype(napi_env env, napi_value value) {
  const int64_t code = read_int(env, value, "dtype");
  if (code < 0 || code >= static_cast<int64_t>(c10::ScalarType::NumOptions)) throw ArgumentError("unknown dtype");
  return static_cast<c10::ScalarType>(code);
}

int64_t count_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0) throw ArgumentError("negative size in a shape");
    if (__builtin_mul_overflow(count, size, &count)) throw ArgumentError("a shape too large to count");
  }
  return count;
}

// fromBytes(typedArray, shape, dtype): one copy into libtorch's memory. The array's bytes are the values' bits.
TUNESMITH_FUNCTION(from_bytes) {
  return guarded(env, [&] {
    Arguments a(env, info);
    settle(environment_of(env));
    const ArrayView view = read_array(env, a[0]);
    const auto shape = read_ints(env, a[1], "shape");
    const auto dtype = read_dtype(env, a[2]);
    const int64_t count = count_of(shape);
    const size_t width = c10::elementSize(dtype);
    if (static_cast<size_t>(count) > SIZE_MAX / width || count * width != view.bytes)
      throw ArgumentError("expected " + std::to_string(count) + " values for the shape, got " +
                          std::to_string(view.bytes / width));
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
    give_planned_values(tensor);
    if (view.bytes > 0) std::memcpy(tensor.mutable_data_ptr(), view.data, view.bytes);
    return make_tensor(env, tensor);
  });
}

// copyInto(handle, typedArray): the tensor's values, row-major, as bits, into memory that JavaScript owns.
TUNESMITH_FUNCTION(copy_into) {
  return guarded_read(env, [&] {
    Arguments a(env, info);
    at::Tensor tensor = read_tensor(env, a[0]).detach();
    if (!tensor.device().is_cpu()) tensor = tensor.cpu();
    tensor = with_values(tensor.resolve_conj().resolve_neg()).contiguous();
    const ArrayView view = read_array(env, a[1]);
    if (view.bytes != tensor.nbytes())
      throw ArgumentError("expected an array of " + std::to_string(tensor.nbytes()) + " bytes, got " +
                          std::to_string(view.bytes));
    if (view.bytes > 0) std::memcpy(view.data, tensor.const_data_ptr(), view.bytes);
    return make_undefined(env);
  });
}

// mapFile(path) -> { external, bytes }: the whole file, mapped copy-on-write.
TUNESMITH_FUNCTION(map_file) {
  return guarded(env, [&] {
    Arguments a(env, info);
    auto* file = new std::shared_ptr<MappedFile>(std::make_shared<MappedFile>(read_string(env, a[0], "path")));
    const auto finalize = [](node_api_basic_env, void* data, void*) {
      delete static_cast<std::shared_ptr<MappedFile>*>(data);
    };
    napi_value external, result;
    check(env, napi_create_external(env, file, finalize, nullptr, &external), "a mapping");
    napi_create_object(env, &result);
    set_field(env, result, "external", external);
    set_field(env, result, "bytes", make_number(env, static_cast<double>((*file)->bytes())));
    return result;
  });
}

// mapTensor(external, byteOffset, shape, dtype): a tensor over a part of a mapped file, which keeps the mapping.
TUNESMITH_FUNCTION(map_tensor) {
  return guarded_read(env, [&] {
    Arguments a(env, info);
    void* data;
    if (napi_get_value_external(env, a[0], &data) != napi_ok) throw ArgumentError("expected a mapped file");
    const auto file = *static_cast<std::shared_ptr<MappedFile>*>(data);
    if (file == nullptr) throw ArgumentError("expected a mapped file, got one that was released");
    const int64_t offset = read_int(env, a[1], "byteOffset");
    const auto shape = read_ints(env, a[2], "shape");
    const auto dtype = read_dtype(env, a[3]);
    const int64_t width = static_cast<int64_t>(c10::elementSize(dtype));
    int64_t bytes, end;
    if (__builtin_mul_overflow(count_of(shape), width, &bytes) || offset < 0 ||
        __builtin_add_overflow(offset, bytes, &end) || static_cast<size_t>(end) > file->bytes())
      throw ArgumentError("a tensor beyond the end of the mapped file");
    const auto options = at::TensorOptions().dtype(dtype);
    if (bytes == 0) return make_tensor(env, at::empty(shape, options));
    char* start = file->data() + offset;
    if (reinterpret_cast<uintptr_t>(start) % width != 0) {  // vector loads want aligned elements: copy the odd case
      at::Tensor copy = at::empty(shape, options);
      std::memcpy(copy.mutable_data_ptr(), start, bytes);
      return make_tensor(env, copy);
    }
    return make_tensor(env, at::from_blob(start, shape, [file](void*) {}, options));
  });
}

// releaseFile(external): no more tensors are made of the file, and its mapping ends with those that there are.
TUNESMITH_FUNCTION(release_file) {
  return guarded(env, [&] {
    Arguments a(env, info);
    void* data;
    if (napi_get_value_external(env, a[0], &data) != napi_ok) throw ArgumentError("expected a mapped file");
    static_cast<std::shared_ptr<MappedFile>*>(data)->reset();
    return make_undefined(env);
  });
}

// item(handle): the only value of a one-element tensor, as number, boolean, or bigint where a number would round.
TUNESMITH_FUNCTION(item) {
  return guarded_read(env, [&] {
    Arguments a(env, info);
    const at::Scalar scalar = read_tensor(env, a[0]).item();
    if (scalar.isBoolean()) return make_bool(env, scalar.toBool());
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
      return make_number(env, static_cast<double>(value));
    }
    return make_number(env, scalar.toDouble());
  });
}

TUNESMITH_FUNCTION(shape) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_ints(env, read_tensor(env, a[0]).sizes());
  });
}

TUNESMITH_FUNCTION(strides) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_ints(env, read_tensor(env, a[0]).strides());
  });
}

TUNESMITH_FUNCTION(dtype) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_number(env, static_cast<double>(read_tensor(env, a[0]).scalar_type()));
  });
}

TUNESMITH_FUNCTION(device) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_string(env, read_tensor(env, a[0]).device().str());
  });
}

TUNESMITH_FUNCTION(is_contiguous) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_bool(env, read_tensor(env, a[0]).is_contiguous());
  });
}

// sameStorage(a, b): whether two tensors share memory (tied weights).
TUNESMITH_FUNCTION(same_storage) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_bool(env, read_tensor(env, a[0]).is_alias_of(read_tensor(env, a[1])));
  });
}

// joinRows([tensors]): one view of tensors whose rows follow one another in memory, or 0 where they do not.
TUNESMITH_FUNCTION(join_rows) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::vector<at::Tensor> parts = read_tensors(env, a[0], "tensors");
    const at::Tensor& first = parts.at(0);
    const auto follows = [&](const at::Tensor& part, int64_t rows) {
      return part.dim() > 0 && part.dim() == first.dim() && part.scalar_type() == first.scalar_type() &&
             part.sizes().slice(1) == first.sizes().slice(1) && part.strides() == first.strides() &&
             part.is_alias_of(first) && part.is_conj() == first.is_conj() && part.is_neg() == first.is_neg() &&
             part.storage_offset() == first.storage_offset() + rows * first.stride(0);
    };
    int64_t rows = 0;
    for (const at::Tensor& part : parts) {
      if (!follows(part, rows)) return make_number(env, 0);
      rows += part.size(0);
    }
    std::vector<int64_t> sizes = first.sizes().vec();
    sizes[0] = rows;
    return make_tensor(env, first.detach().as_strided(sizes, first.strides(), first.storage_offset()));
  });
}

// freeMany(Float64Array of handles)
TUNESMITH_FUNCTION(free_many) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const ArrayView view = read_array(env, a[0]);
    const auto* handles = static_cast<const double*>(view.data);
    for (size_t i = 0; i < view.length; i++) drop_tensor(static_cast<Handle>(handles[i]));
    settle(environment_of(env));
    return make_undefined(env);
  });
}

// Guard of a tensor that no scope owns: an external whose finalizer frees the handle. V8 is told its bytes.
struct Guard {
  Environment* environment;
  Handle handle;
  int64_t bytes;
};

void finalize_guard(node_api_basic_env, void* data, void*) {
  // Runs inside the garbage collector: touches no JavaScript.
  auto* guard = static_cast<Guard*>(data);
  drop_tensor(guard->handle);
  {
    std::lock_guard<std::mutex> lock(guard->environment->mutex);
    guard->environment->external_bytes -= guard->bytes;
  }
  delete guard;
}

// guard(handle) -> external; the tensor lives until the external is collected or the handle is freed.
TUNESMITH_FUNCTION(guard_tensor) {
  return guarded(env, [&] {
    Arguments a(env, info);
    Environment& environment = environment_of(env);
    const at::Tensor tensor = read_tensor(env, a[0]);
    const int64_t handle = read_int(env, a[0], "handle");
    // A view owns no memory, and the system can reclaim that of a mapped file.
    const bool owns = tensor.has_storage() && tensor.device().is_cpu() && !tensor.is_view() &&
                      tensor.storage().data_ptr().get_deleter() == c10::GetCPUAllocator()->raw_deleter();
    const int64_t bytes = 256 + (owns ? static_cast<int64_t>(tensor.nbytes()) : 0);
    auto* guard = new Guard{&environment, handle, bytes};
    napi_value external;
    check(env, napi_create_external(env, guard, finalize_guard, nullptr, &external), "a guard");
    {
      std::lock_guard<std::mutex> lock(environment.mutex);
      environment.external_bytes += bytes;
    }
    settle(environment);
    return external;
  });
}

// share(handle) -> a second handle that no thread owns; adopt(handle) takes it for the calling thread.
TUNESMITH_FUNCTION(share) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_number(env, static_cast<double>(put_tensor(read_tensor(env, a[0]), 0)));
  });
}

TUNESMITH_FUNCTION(adopt) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const Handle handle = read_int(env, a[0], "handle");
    get_tensor(handle);
    set_owner(handle, environment_of(env).ordinal);
    return make_number(env, static_cast<double>(handle));
  });
}

// liveTensors(all): how many handles this thread, or the whole process, holds.
TUNESMITH_FUNCTION(live) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_number(
        env, static_cast<double>(live_tensors(read_bool(env, a[0], "all") ? -1 : environment_of(env).ordinal)));
  });
}

}  // namespace

std::vector<Export> tensor_exports() {
  return {{"fromBytes", from_bytes},
          {"copyInto", copy_into},
          {"mapFile", map_file},
          {"mapTensor", map_tensor},
          {"releaseFile", release_file},
          {"item", item},
          {"shape", shape},
          {"strides", strides},
          {"dtype", dtype},
          {"device", device},
          {"isContiguous", is_contiguous},
          {"sameStorage", same_storage},
          {"joinRows", join_rows},
          {"freeMany", free_many},
          {"guard", guard_tensor},
          {"share", share},
          {"adopt", adopt},
          {"liveTensors", live}};
}

}  // namespace tunesmith
