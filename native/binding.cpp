// Argument readers, result makers and error translation for every other file of the addon.
#include "binding.h"

#include <cmath>

namespace tunesmith {

void check(napi_env env, napi_status status, const char* what) {
  if (status == napi_ok) return;
  if (status == napi_pending_exception) throw PendingException{};
  throw ArgumentError(std::string("cannot read ") + what);
}

double readDouble(napi_env env, napi_value value, const char* what) {
  double result;
  if (napi_get_value_double(env, value, &result) != napi_ok) throw ArgumentError(std::string("expected a number for `") + what + "`");
  return result;
}

int64_t readInt(napi_env env, napi_value value, const char* what) {
  double number;
  if (napi_get_value_double(env, value, &number) == napi_ok) {
    if (!(std::abs(number) <= 9007199254740992.0) || number != std::floor(number))
      throw ArgumentError(std::string("expected an integer for `") + what + "`, got " + std::to_string(number));
    return static_cast<int64_t>(number);
  }
  int64_t big;
  bool lossless;
  if (napi_get_value_bigint_int64(env, value, &big, &lossless) == napi_ok && lossless) return big;
  throw ArgumentError(std::string("expected an integer for `") + what + "`");
}

bool readBool(napi_env env, napi_value value, const char* what) {
  bool result;
  if (napi_get_value_bool(env, value, &result) != napi_ok) throw ArgumentError(std::string("expected true or false for `") + what + "`");
  return result;
}

std::string readString(napi_env env, napi_value value, const char* what) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok)
    throw ArgumentError(std::string("expected a string for `") + what + "`");
  std::string result(length, 0);
  napi_get_value_string_utf8(env, value, result.data(), length + 1, &length);
  return result;
}

static uint32_t arrayLength(napi_env env, napi_value value, const char* what) {
  bool isArray = false;
  uint32_t length = 0;
  if (napi_is_array(env, value, &isArray) != napi_ok || !isArray || napi_get_array_length(env, value, &length) != napi_ok)
    throw ArgumentError(std::string("expected an array for `") + what + "`");
  return length;
}

std::vector<int64_t> readInts(napi_env env, napi_value value, const char* what) {
  const uint32_t length = arrayLength(env, value, what);
  std::vector<int64_t> result(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    check(env, napi_get_element(env, value, i, &element), what);
    result[i] = readInt(env, element, what);
  }
  return result;
}

at::Tensor readTensor(napi_env env, napi_value value) {
  int64_t handle;
  napi_valuetype type;
  napi_typeof(env, value, &type);
  if (type != napi_number || napi_get_value_int64(env, value, &handle) != napi_ok) throw ArgumentError("expected a tensor");
  return getTensor(handle);
}

std::vector<at::Tensor> readTensors(napi_env env, napi_value value, const char* what) {
  const uint32_t length = arrayLength(env, value, what);
  std::vector<at::Tensor> result;
  result.reserve(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    check(env, napi_get_element(env, value, i, &element), what);
    result.push_back(readTensor(env, element));
  }
  return result;
}

at::Generator* readGenerator(napi_env env, napi_value value) {
  void* data;
  if (napi_get_value_external(env, value, &data) != napi_ok || data == nullptr) throw ArgumentError("expected a generator");
  return static_cast<at::Generator*>(data);
}

napi_value makeTensor(napi_env env, const at::Tensor& tensor) {
  const Handle handle = tensor.defined() ? putTensor(tensor, environmentOf(env).ordinal) : 0;
  return makeNumber(env, static_cast<double>(handle));
}

napi_value makeNumber(napi_env env, double value) {
  napi_value result;
  check(env, napi_create_double(env, value, &result), "a number");
  return result;
}

napi_value makeBool(napi_env env, bool value) {
  napi_value result;
  check(env, napi_get_boolean(env, value, &result), "a boolean");
  return result;
}

napi_value makeString(napi_env env, const std::string& value) {
  napi_value result;
  check(env, napi_create_string_utf8(env, value.data(), value.size(), &result), "a string");
  return result;
}

napi_value makeInts(napi_env env, at::IntArrayRef values) {
  napi_value result;
  check(env, napi_create_array_with_length(env, values.size(), &result), "an array");
  for (size_t i = 0; i < values.size(); i++) napi_set_element(env, result, i, makeNumber(env, static_cast<double>(values[i])));
  return result;
}

napi_value makeUndefined(napi_env env) {
  napi_value result;
  napi_get_undefined(env, &result);
  return result;
}

void setField(napi_env env, napi_value object, const char* name, napi_value value) {
  check(env, napi_set_named_property(env, object, name, value), name);
}

// Keeps the first line, without libtorch's "[enforce fail at file:line] " prefix.
std::string firstLine(const std::string& message) {
  std::string line = message.substr(0, message.find('\n'));
  if (line.rfind("[enforce fail at ", 0) == 0) {
    const auto end = line.find("] ");
    if (end != std::string::npos) line = line.substr(end + 2);
    const auto condition = line.find(". ");
    if (line.rfind("err == 0", 0) == 0 && condition != std::string::npos) line = line.substr(condition + 2);
  }
  return line;
}

napi_value throwError(napi_env env, const std::string& message, const char* code) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, code, firstLine(message).c_str());
  return nullptr;
}

}  // namespace tunesmith
