// Calls any operator of libtorch: looked up in the dispatcher by name once, then called boxed. The kinds of arguments
// come from the operator's schema.
#include "accelerator.h"
#include "binding.h"
#include "planning.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <optional>
#include <sstream>
#include <unordered_map>

namespace tunesmith {
namespace {

using c10::IValue;

enum class Kind : uint8_t {
  tensor,
  tensor_list,
  optional_tensor_list,
  integer,
  integer_list,
  number,
  number_list,
  boolean,
  boolean_list,
  scalar,
  scalar_list,
  string,
  device,
  generator,
  unsupported
};

struct Argument {
  std::string name;
  Kind kind;
  bool optional;  // its type admits None
  std::optional<IValue> fallback;
};

struct Operator {
  c10::OperatorHandle handle;
  std::vector<Argument> arguments;
  size_t returns;
  bool in_place;  // the result is the first argument again, so nothing is returned
  bool samples;   // takes a generator, and is libtorch's own
};

constexpr size_t max_operators = 8192;
std::mutex operators_mutex;
std::atomic<Operator*> operators[max_operators];
std::atomic<int32_t> operator_count{0};

Kind kind_of(const c10::TypePtr& type, bool& optional) {
  using T = c10::TypeKind;
  switch (type->kind()) {
    case T::OptionalType:
      optional = true;
      return kind_of(type->castRaw<c10::OptionalType>()->getElementType(), optional);
    case T::TensorType: return Kind::tensor;
    case T::IntType:
    case T::SymIntType:
    case T::ScalarTypeType:
    case T::LayoutType:
    case T::MemoryFormatType: return Kind::integer;
    case T::FloatType:
    case T::SymFloatType: return Kind::number;
    case T::BoolType:
    case T::SymBoolType: return Kind::boolean;
    case T::NumberType: return Kind::scalar;
    case T::StringType:
    // The group of a collective: its name.
    case T::AnyType: return Kind::string;
    case T::DeviceObjType: return Kind::device;
    case T::GeneratorType: return Kind::generator;
    case T::ListType: {
      const auto element = type->castRaw<c10::ListType>()->getElementType();
      switch (element->kind()) {
        case T::TensorType: return Kind::tensor_list;
        case T::OptionalType:  // Tensor?[] and Scalar?[] differ only in the inner type
          return element->castRaw<c10::OptionalType>()->getElementType()->kind() == T::TensorType
                     ? Kind::optional_tensor_list
                     : Kind::unsupported;
        case T::IntType:
        case T::SymIntType: return Kind::integer_list;
        case T::FloatType: return Kind::number_list;
        case T::BoolType: return Kind::boolean_list;
        case T::NumberType: return Kind::scalar_list;
        default: return Kind::unsupported;
      }
    }
    default: return Kind::unsupported;
  }
}

napi_value element(napi_env env, napi_value array, uint32_t i) {
  napi_value result;
  check(env, napi_get_element(env, array, i, &result), "a list element");
  return result;
}

uint32_t length_of(napi_env env, napi_value value) {
  bool is_array = false;
  uint32_t length = 0;
  napi_is_array(env, value, &is_array);
  if (!is_array || napi_get_array_length(env, value, &length) != napi_ok) throw ArgumentError("expected an array");
  return length;
}

at::Scalar scalar_of(napi_env env, napi_value value, napi_valuetype type) {
  if (type == napi_boolean) return at::Scalar(read_bool(env, value, "value"));
  if (type == napi_bigint) return at::Scalar(read_int(env, value, "value"));
  const double number = read_double(env, value, "value");
  // Whole numbers go as integers, as in Python: an integer tensor plus 1 stays an integer tensor.
  if (number == std::floor(number) && std::abs(number) <= 9007199254740992.0 && !(number == 0 && std::signbit(number)))
    return at::Scalar(static_cast<int64_t>(number));
  return at::Scalar(number);
}

IValue to_ivalue(napi_env env, Kind kind, napi_value value, napi_valuetype type) {
  switch (kind) {
    case Kind::tensor: return read_tensor(env, value);
    case Kind::integer:
      return type == napi_boolean ? static_cast<int64_t>(read_bool(env, value, "value"))
                                  : read_int(env, value, "value");
    case Kind::number: return read_double(env, value, "value");
    case Kind::boolean: return read_bool(env, value, "value");
    case Kind::scalar: return scalar_of(env, value, type);
    case Kind::string: return read_string(env, value, "value");
    case Kind::device: return c10::Device(read_string(env, value, "value"));
    case Kind::generator: return *read_generator(env, value);
    case Kind::integer_list: {
      if (type == napi_number) return c10::List<int64_t>({read_int(env, value, "value")});
      const uint32_t length = length_of(env, value);
      c10::List<int64_t> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(read_int(env, element(env, value, i), "value"));
      return list;
    }
    case Kind::number_list: {
      const uint32_t length = length_of(env, value);
      c10::List<double> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(read_double(env, element(env, value, i), "value"));
      return list;
    }
    case Kind::boolean_list: {
      const uint32_t length = length_of(env, value);
      c10::List<bool> list;
      for (uint32_t i = 0; i < length; i++) list.push_back(read_bool(env, element(env, value, i), "value"));
      return list;
    }
    case Kind::scalar_list: {
      const uint32_t length = length_of(env, value);
      c10::impl::GenericList list(c10::NumberType::get());
      for (uint32_t i = 0; i < length; i++) {
        napi_value item = element(env, value, i);
        napi_valuetype item_type;
        napi_typeof(env, item, &item_type);
        list.push_back(IValue(scalar_of(env, item, item_type)));
      }
      return list;
    }
    case Kind::tensor_list: {
      const uint32_t length = length_of(env, value);
      c10::List<at::Tensor> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(read_tensor(env, element(env, value, i)));
      return list;
    }
    case Kind::optional_tensor_list: {
      const uint32_t length = length_of(env, value);
      c10::List<std::optional<at::Tensor>> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) {
        napi_value item = element(env, value, i);
        napi_valuetype item_type;
        napi_typeof(env, item, &item_type);
        if (item_type == napi_number)
          list.push_back(read_tensor(env, item));
        else
          list.push_back(std::nullopt);
      }
      return list;
    }
    default: throw ArgumentError("this argument's type cannot be passed from JavaScript");
  }
}

napi_value from_ivalue(napi_env env, const IValue& value) {
  if (value.isTensor()) return make_tensor(env, value.toTensor());
  if (value.isInt()) return make_number(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return make_number(env, value.toDouble());
  if (value.isBool()) return make_bool(env, value.toBool());
  if (value.isString()) return make_string(env, value.toStringRef());
  if (value.isList()) {
    const auto list = value.toListRef();
    napi_value array;
    check(env, napi_create_array_with_length(env, list.size(), &array), "an array");
    for (size_t i = 0; i < list.size(); i++) napi_set_element(env, array, i, from_ivalue(env, list[i]));
    return array;
  }
  if (value.isScalar()) return make_number(env, value.toScalar().toDouble());
  if (value.isSymInt()) return make_number(env, static_cast<double>(value.toSymInt().expect_int()));
  return make_undefined(env);
}

// The number of an operator, which every thread of the process calls it by.
int32_t number_of(const c10::OperatorName& name, std::unique_ptr<Operator> op) {
  static auto& numbers = *new std::unordered_map<c10::OperatorName, int32_t>;
  std::lock_guard<std::mutex> lock(operators_mutex);
  const auto known = numbers.find(name);
  if (known != numbers.end()) return known->second;
  const int32_t id = operator_count;
  if (id >= static_cast<int32_t>(max_operators)) throw ArgumentError("too many operators");
  operators[id] = op.release();
  operator_count = id + 1;
  numbers.emplace(name, id);
  return id;
}

// operator(name, overload) -> { id, inPlace, arguments: [{ name, type, optional, hasDefault, keywordOnly }], returns:
// [type] }
TUNESMITH_FUNCTION(find_operator) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::string name = read_string(env, a[0], "name"), overload = read_string(env, a[1], "overload");
    const auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (!handle) throw ArgumentError("libtorch has no operator " + name + (overload.empty() ? "" : "." + overload));
    const auto& schema = handle->schema();
    const auto* alias = schema.returns().size() == 1 ? schema.returns()[0].alias_info() : nullptr;
    auto op = std::make_unique<Operator>(
        Operator{*handle, {}, schema.returns().size(), alias != nullptr && alias->isWrite(), false});
    napi_value result, arguments, returns;
    napi_create_object(env, &result);
    napi_create_array(env, &arguments);
    napi_create_array(env, &returns);
    uint32_t position = 0;
    for (const auto& argument : schema.arguments()) {
      bool optional = false;
      const Kind kind = kind_of(argument.real_type(), optional);
      op->arguments.push_back({argument.name(), kind, optional, argument.default_value()});
      op->samples |= kind == Kind::generator && schema.name().rfind("aten::", 0) == 0;
      napi_value entry;
      napi_create_object(env, &entry);
      set_field(env, entry, "name", make_string(env, argument.name()));
      set_field(env, entry, "type", make_string(env, argument.real_type()->str()));
      set_field(env, entry, "optional", make_bool(env, optional));
      set_field(env, entry, "hasDefault", make_bool(env, argument.default_value().has_value()));
      set_field(env, entry, "keywordOnly", make_bool(env, argument.kwarg_only()));
      napi_set_element(env, arguments, position++, entry);
    }
    position = 0;
    for (const auto& value : schema.returns())
      napi_set_element(env, returns, position++, make_string(env, value.type()->str()));
    set_field(env, result, "inPlace", make_bool(env, op->in_place));
    set_field(env, result, "id", make_number(env, number_of(schema.operator_name(), std::move(op))));
    set_field(env, result, "arguments", arguments);
    set_field(env, result, "returns", returns);
    return result;
  });
}

// Calls an operator with a generator for tensors on another device than the generator's, the CPU: it samples there and
// the results are copied, so a seed gives the same numbers on every device.
void sample_on_cpu(const Operator& op, torch::jit::Stack& stack, c10::Device device) {
  const at::Tensor written = op.in_place ? stack[0].toTensor() : at::Tensor();
  for (IValue& value : stack) {
    if (value.isTensor() && value.toTensor().defined())
      value = value.toTensor().detach().cpu();
    else if (value.isDevice())
      value = c10::Device(c10::kCPU);
  }
  op.handle.callBoxed(stack);
  if (op.in_place) {
    written.copy_(stack[0].toTensor());
    return;
  }
  for (IValue& result : stack)
    if (result.isTensor()) result = result.toTensor().to(device);
}

// Where an operator with a generator would sample, if that is not on the CPU.
std::optional<c10::Device> sampled_elsewhere(const Operator& op, const torch::jit::Stack& stack) {
  if (!op.samples) return std::nullopt;
  std::optional<c10::Device> device;
  bool has_generator = false;
  for (const IValue& value : stack) {
    has_generator |= value.isGenerator();
    if (value.isTensor() && value.toTensor().defined() && !value.toTensor().is_cpu())
      device = value.toTensor().device();
    else if (value.isDevice() && !value.toDevice().is_cpu())
      device = value.toDevice();
  }
  return has_generator ? device : std::nullopt;
}

// call(id, ...arguments in the schema's order); undefined takes the schema's default, null is None.
TUNESMITH_FUNCTION(call) {
  return guarded_read(env, [&] {
    Arguments a(env, info);
    int32_t id = -1;
    if (napi_get_value_int32(env, a[0], &id) != napi_ok || id < 0 || id >= operator_count)
      throw ArgumentError("unknown operator");
    const Operator& op = *operators[id].load();
    torch::jit::Stack stack;
    stack.reserve(std::max(op.arguments.size(), op.returns));
    for (size_t i = 0; i < op.arguments.size(); i++) {
      const Argument& argument = op.arguments[i];
      napi_valuetype type = napi_undefined;
      if (i + 1 < a.count) napi_typeof(env, a[i + 1], &type);
      if (type == napi_undefined) {
        if (argument.fallback)
          stack.push_back(*argument.fallback);
        else if (argument.optional)
          stack.emplace_back();
        else
          throw ArgumentError("missing argument `" + argument.name + "`");
      } else if (type == napi_null) {
        if (!argument.optional) throw ArgumentError("expected a value for `" + argument.name + "`, got null");
        stack.emplace_back();
      } else {
        try {
          stack.push_back(to_ivalue(env, argument.kind, a[i + 1], type));
        } catch (const ArgumentError& error) {
          throw ArgumentError("`" + argument.name + "`: " + error.what());
        }
      }
    }
    if (planning()) name_operator(op.handle.schema().name().c_str(), false);
    const LimitedMemory memory;
    if (const auto device = sampled_elsewhere(op, stack))
      sample_on_cpu(op, stack, *device);
    else
      op.handle.callBoxed(stack);
    memory.expect_within();
    if (op.in_place || stack.empty()) return make_undefined(env);
    if (stack.size() == 1) return from_ivalue(env, stack[0]);
    napi_value results;
    check(env, napi_create_array_with_length(env, stack.size(), &results), "an array");
    for (size_t i = 0; i < stack.size(); i++) napi_set_element(env, results, i, from_ivalue(env, stack[i]));
    return results;
  });
}

}  // namespace

std::vector<Export> dispatch_exports() { return {{"operator", find_operator}, {"call", call}}; }

}  // namespace tunesmith
