// Shared by the addon's files: reading arguments, converting errors, the interface of the handle table, and the state
// of each Node environment. Independent of operators.
#pragma once
// The experimental version: its finalizers run inside the garbage collector, so a loop that never yields frees memory
// too. By number, since newer headers lack the name NAPI_EXPERIMENTAL. Must precede the header.
#undef NAPI_VERSION
#define NAPI_VERSION 2147483647
#include <node_api.h>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "mapped-files.h"

namespace tunesmith {

// An invalid argument; becomes a JavaScript error with code ARGUMENT.
struct ArgumentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A JavaScript exception is already pending (a callback threw).
struct PendingException {};

struct Environment {
  napi_env env;
  uint32_t ordinal;  // owner mark in the handle table
  std::thread::id thread;
  std::mutex mutex;                       // guards the two lists below
  std::vector<napi_ref> dead_references;  // dropped where JavaScript may not be touched (inside the collector)
  int64_t external_bytes = 0;             // change not yet reported to V8
  napi_ref callback_error = nullptr;      // exception thrown by a JavaScript callback inside the autograd engine
  std::vector<void*> inference_guards;
};
Environment& environment_of(napi_env env);
void settle(Environment& environment);  // deletes dead references, reports external memory

// ---- handle table: one for the process, so that threads can hand tensors over by number ----
using Handle = int64_t;  // generation * 2^22 + slot; 0 is "no tensor"
Handle put_tensor(at::Tensor tensor, uint32_t owner);
at::Tensor get_tensor(Handle handle);  // throws ArgumentError when freed or never made
bool drop_tensor(Handle handle);
void drop_owned_by(uint32_t owner);
void set_owner(Handle handle, uint32_t owner);
int64_t live_tensors(int owner);  // owner < 0: all

// ---- reading arguments ----
void check(napi_env env, napi_status status, const char* what);
double read_double(napi_env env, napi_value value, const char* what);
int64_t read_int(napi_env env, napi_value value, const char* what);
bool read_bool(napi_env env, napi_value value, const char* what);
std::string read_string(napi_env env, napi_value value, const char* what);
std::vector<int64_t> read_ints(napi_env env, napi_value value, const char* what);
at::Tensor read_tensor(napi_env env, napi_value value);
std::vector<at::Tensor> read_tensors(napi_env env, napi_value value, const char* what);
at::Generator* read_generator(napi_env env, napi_value value);

// ---- making results ----
napi_value make_tensor(napi_env env, const at::Tensor& tensor);  // 0 for an undefined tensor
napi_value make_number(napi_env env, double value);
napi_value make_bool(napi_env env, bool value);
napi_value make_string(napi_env env, const std::string& value);
napi_value make_ints(napi_env env, at::IntArrayRef values);
napi_value make_undefined(napi_env env);
void set_field(napi_env env, napi_value object, const char* name, napi_value value);

napi_value throw_error(napi_env env, const std::string& message, const char* code);
std::string first_line(const std::string& message);

struct Arguments {
  napi_value values[32];
  size_t count = 32;
  Arguments(napi_env env, napi_callback_info info) {
    check(env, napi_get_cb_info(env, info, &count, values, nullptr, nullptr), "arguments");
  }
  napi_value operator[](size_t i) const { return values[i]; }  // absent ones read as undefined
};

// Runs `body` and turns every C++ exception into a JavaScript error with a code.
template <typename Body> napi_value guarded(napi_env env, Body&& body) {
  try {
    return body();
  } catch (const FileError& error) {
    return throw_error(env, error.what(), "FILE");
  } catch (const PendingException&) {
    return nullptr;
  } catch (const ArgumentError& error) {
    return throw_error(env, error.what(), "ARGUMENT");
  } catch (const c10::OutOfMemoryError& error) {
    return throw_error(env, error.what_without_backtrace(), "OUT_OF_MEMORY");
  } catch (const c10::IndexError& error) {
    return throw_error(env, error.what_without_backtrace(), "INDEX");
  } catch (const c10::Error& error) {
    return throw_error(env, error.what_without_backtrace(), "TORCH");
  } catch (const std::bad_alloc&) {
    return throw_error(env, "not enough memory", "OUT_OF_MEMORY");
  } catch (const std::length_error&) {
    return throw_error(env, "not enough memory", "OUT_OF_MEMORY");
  } catch (const std::exception& error) {
    return throw_error(env, error.what(), "NATIVE");
  } catch (...) {
    return throw_error(env, "unknown C++ exception", "NATIVE");
  }
}

// As `guarded`, for functions that read tensors: a read beyond the end of a truncated mapped file is an error too.
template <typename Body> napi_value guarded_read(napi_env env, Body&& body) {
  return guarded(env, [&] {
    const uint64_t before = truncated_reads();
    napi_value result = body();
    if (truncated_reads() != before) throw_truncated();
    return result;
  });
}

#define TUNESMITH_FUNCTION(name) static napi_value name(napi_env env, napi_callback_info info)

struct Export {
  const char* name;
  napi_callback function;
};
// Each file of the addon lists what it offers.
std::vector<Export> dispatch_exports();
std::vector<Export> tensor_exports();
std::vector<Export> autograd_exports();
std::vector<Export> runtime_exports();
std::vector<Export> memory_exports();
std::vector<Export> tensor_file_exports();
std::vector<Export> planning_exports();
std::vector<Export> accelerator_exports();
std::vector<Export> fallback_exports();
std::vector<Export> strict_device_exports();
std::vector<Export> process_group_exports();  // empty where libtorch has no Gloo

void install_allocator();

}  // namespace tunesmith
