// Reading arguments, creating results and converting errors, for the other files of the addon.
#include "binding.h"
#include "planning.h"

#include <cmath>

namespace tunesmith {

void check(napi_env env, napi_status status, const char* what) {
  if (status == napi_ok) return;
  if (status == napi_pending_exception) throw PendingException{};
  throw ArgumentError(std::string("cannot read ") + what);
}

double read_double(napi_env env, napi_value value, const char* what) {
  double result;
  if (napi_get_value_double(env, value, &result) != napi_ok)
    throw ArgumentError(std::string("expected a number for `") + what + "`");
  return result;
}

int64_t read_int(napi_env env, napi_value value, const char* what) {
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

bool read_bool(napi_env env, napi_value value, const char* what) {
  bool result;
  if (napi_get_value_bool(env, value, &result) != napi_ok)
    throw ArgumentError(std::string("expected true or false for `") + what + "`");
  return result;
}

std::string read_string(napi_env env, napi_value value, const char* what) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok)
    throw ArgumentError(std::string("expected a string for `") + what + "`");
  std::string result(length, 0);
  napi_get_value_string_utf8(env, value, result.data(), length + 1, &length);
  return result;
}

static uint32_t array_length(napi_env env, napi_value value, const char* what) {
  bool is_array = false;
  uint32_t length = 0;
  if (napi_is_array(env, value, &is_array) != napi_ok || !is_array ||
      napi_get_array_length(env, value, &length) != napi_ok)
    throw ArgumentError(std::string("expected an array for `") + what + "`");
  return length;
}

std::vector<int64_t> read_ints(napi_env env, napi_value value, const char* what) {
  const uint32_t length = array_length(env, value, what);
  std::vector<int64_t> result(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    check(env, napi_get_element(env, value, i, &element), what);
    result[i] = read_int(env, element, what);
  }
  return result;
}

at::Tensor read_tensor(napi_env env, napi_value value) {
  int64_t handle;
  napi_valuetype type;
  napi_typeof(env, value, &type);
  if (type != napi_number || napi_get_value_int64(env, value, &handle) != napi_ok)
    throw ArgumentError("expected a tensor");
  const at::Tensor tensor = get_tensor(handle);
  expect_values(tensor);
  return tensor;
}

std::vector<at::Tensor> read_tensors(napi_env env, napi_value value, const char* what) {
  const uint32_t length = array_length(env, value, what);
  std::vector<at::Tensor> result;
  result.reserve(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    check(env, napi_get_element(env, value, i, &element), what);
    result.push_back(read_tensor(env, element));
  }
  return result;
}

at::Generator* read_generator(napi_env env, napi_value value) {
  void* data;
  if (napi_get_value_external(env, value, &data) != napi_ok || data == nullptr)
    throw ArgumentError("expected a generator");
  return static_cast<at::Generator*>(data);
}

napi_value make_tensor(napi_env env, const at::Tensor& tensor) {
  const Handle handle = tensor.defined() ? put_tensor(tensor, environment_of(env).ordinal) : 0;
  return make_number(env, static_cast<double>(handle));
}

napi_value make_number(napi_env env, double value) {
  napi_value result;
  check(env, napi_create_double(env, value, &result), "a number");
  return result;
}

napi_value make_bool(napi_env env, bool value) {
  napi_value result;
  check(env, napi_get_boolean(env, value, &result), "a boolean");
  return result;
}

napi_value make_string(napi_env env, const std::string& value) {
  napi_value result;
  check(env, napi_create_string_utf8(env, value.data(), value.size(), &result), "a string");
  return result;
}

napi_value make_ints(napi_env env, at::IntArrayRef values) {
  napi_value result;
  check(env, napi_create_array_with_length(env, values.size(), &result), "an array");
  for (size_t i = 0; i < values.size(); i++)
    napi_set_element(env, result, i, make_number(env, static_cast<double>(values[i])));
  return result;
}

napi_value make_undefined(napi_env env) {
  napi_value result;
  napi_get_undefined(env, &result);
  return result;
}

void set_field(napi_env env, napi_value object, const char* name, napi_value value) {
  check(env, napi_set_named_property(env, object, name, value), name);
}

// Keeps the first line, without libtorch's "[enforce fail at file:line] " prefix.
std::string first_line(const std::string& message) {
  std::string line = message.substr(0, message.find('\n'));
  if (line.rfind("[enforce fail at ", 0) == 0) {
    const auto end = line.find("] ");
    if (end != std::string::npos) line = line.substr(end + 2);
    const auto condition = line.find(". ");
    if (line.rfind("err == 0", 0) == 0 && condition != std::string::npos) line = line.substr(condition + 2);
  }
  return line;
}

napi_value throw_error(napi_env env, const std::string& message, const char* code) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, code, first_line(message).c_str());
  return nullptr;
}

}  // namespace tunesmith
