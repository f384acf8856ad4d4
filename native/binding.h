// Shared by the addon's files: argument readers, error translation, the handle table's interface, per-environment state.
// Knows no operator by name and holds no policy.
#pragma once
// The experimental version: finalizers then run inside the garbage collector, so a loop that never yields frees memory too.
// By number, because newer headers no longer know the name NAPI_EXPERIMENTAL. Set before the header reads it.
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

namespace tunesmith {

// A fault in what JavaScript passed; becomes a JavaScript error with code ARGUMENT.
struct ArgumentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A JavaScript exception is already pending (a callback threw).
struct PendingException {};

struct Environment {
  napi_env env;
  uint16_t ordinal;                       // owner mark in the handle table
  std::thread::id thread;
  std::mutex mutex;                       // guards the two lists below
  std::vector<napi_ref> deadReferences;   // dropped where JavaScript may not be touched (inside the collector)
  int64_t externalBytes = 0;              // change not yet reported to V8
  napi_ref callbackError = nullptr;       // exception thrown by a JavaScript callback inside the autograd engine
  std::vector<void*> inferenceGuards;
};
Environment& environmentOf(napi_env env);
void settle(Environment& environment);    // deletes dead references, reports external memory

// ---- handle table: one for the process, so that threads can hand tensors over by number ----
using Handle = int64_t;                   // generation * 2^22 + slot; 0 is "no tensor"
Handle putTensor(at::Tensor tensor, uint16_t owner);
at::Tensor getTensor(Handle handle);      // throws ArgumentError when freed or never made
bool dropTensor(Handle handle);
void dropOwnedBy(uint16_t owner);
void setOwner(Handle handle, uint16_t owner);
int64_t liveTensors(int owner);           // owner < 0: all

// ---- reading arguments ----
void check(napi_env env, napi_status status, const char* what);
double readDouble(napi_env env, napi_value value, const char* what);
int64_t readInt(napi_env env, napi_value value, const char* what);
bool readBool(napi_env env, napi_value value, const char* what);
std::string readString(napi_env env, napi_value value, const char* what);
std::vector<int64_t> readInts(napi_env env, napi_value value, const char* what);
at::Tensor readTensor(napi_env env, napi_value value);
std::vector<at::Tensor> readTensors(napi_env env, napi_value value, const char* what);
at::Generator* readGenerator(napi_env env, napi_value value);

// ---- making results ----
napi_value makeTensor(napi_env env, const at::Tensor& tensor);  // 0 for an undefined tensor
napi_value makeNumber(napi_env env, double value);
napi_value makeBool(napi_env env, bool value);
napi_value makeString(napi_env env, const std::string& value);
napi_value makeInts(napi_env env, at::IntArrayRef values);
napi_value makeUndefined(napi_env env);
void setField(napi_env env, napi_value object, const char* name, napi_value value);

napi_value throwError(napi_env env, const std::string& message, const char* code);
std::string firstLine(const std::string& message);

struct Arguments {
  napi_value values[32];
  size_t count = 32;
  Arguments(napi_env env, napi_callback_info info) { check(env, napi_get_cb_info(env, info, &count, values, nullptr, nullptr), "arguments"); }
  napi_value operator[](size_t i) const { return values[i]; }  // absent ones read as undefined
};

// Runs `body` and turns every C++ exception into a JavaScript error with a code.
template <typename Body>
napi_value guarded(napi_env env, Body&& body) {
  try {
    return body();
  } catch (const PendingException&) {
    return nullptr;
  } catch (const ArgumentError& error) {
    return throwError(env, error.what(), "ARGUMENT");
  } catch (const c10::OutOfMemoryError& error) {
    return throwError(env, error.what_without_backtrace(), "OUT_OF_MEMORY");
  } catch (const c10::IndexError& error) {
    return throwError(env, error.what_without_backtrace(), "INDEX");
  } catch (const c10::Error& error) {
    return throwError(env, error.what_without_backtrace(), "TORCH");
  } catch (const std::bad_alloc&) {
    return throwError(env, "not enough memory", "OUT_OF_MEMORY");
  } catch (const std::length_error&) {
    return throwError(env, "not enough memory", "OUT_OF_MEMORY");
  } catch (const std::exception& error) {
    return throwError(env, error.what(), "NATIVE");
  } catch (...) {
    return throwError(env, "unknown C++ exception", "NATIVE");
  }
}

#define TUNESMITH_FUNCTION(name) \
  static napi_value name(napi_env env, napi_callback_info info)

struct Export {
  const char* name;
  napi_callback function;
};
// Each file of the addon lists what it offers.
std::vector<Export> dispatchExports();
std::vector<Export> tensorExports();
std::vector<Export> autogradExports();
std::vector<Export> runtimeExports();
std::vector<Export> memoryExports();
std::vector<Export> tensorFileExports();

void installAllocator();

}  // namespace tunesmith
