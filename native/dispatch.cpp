// The one generic way to call an operator: found in libtorch's dispatcher by name once, then called boxed.
// Knows no operator; argument kinds come from the operator's own schema.
#include "binding.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <atomic>
#include <cmath>
#include <optional>
#include <sstream>

namespace tunesmith {
namespace {

using c10::IValue;

enum class Kind : uint8_t { tensor, tensorList, optionalTensorList, integer, integerList, number, numberList, boolean, booleanList, scalar, scalarList, string, device, generator, unsupported };

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
  bool inPlace;  // the result is the first argument again, so nothing is returned
};

constexpr size_t kMaxOperators = 8192;
std::mutex operatorsMutex;
std::atomic<Operator*> operators[kMaxOperators];
std::atomic<int32_t> operatorCount{0};

Kind kindOf(const c10::TypePtr& type, bool& optional) {
  using T = c10::TypeKind;
  switch (type->kind()) {
    case T::OptionalType:
      optional = true;
      return kindOf(type->castRaw<c10::OptionalType>()->getElementType(), optional);
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
    case T::StringType: return Kind::string;
    case T::DeviceObjType: return Kind::device;
    case T::GeneratorType: return Kind::generator;
    case T::ListType: {
      const auto element = type->castRaw<c10::ListType>()->getElementType();
      switch (element->kind()) {
        case T::TensorType: return Kind::tensorList;
        case T::OptionalType:  // Tensor?[] and Scalar?[] differ only in the inner type
          return element->castRaw<c10::OptionalType>()->getElementType()->kind() == T::TensorType ? Kind::optionalTensorList : Kind::unsupported;
        case T::IntType:
        case T::SymIntType: return Kind::integerList;
        case T::FloatType: return Kind::numberList;
        case T::BoolType: return Kind::booleanList;
        case T::NumberType: return Kind::scalarList;
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

uint32_t lengthOf(napi_env env, napi_value value) {
  bool isArray = false;
  uint32_t length = 0;
  napi_is_array(env, value, &isArray);
  if (!isArray || napi_get_array_length(env, value, &length) != napi_ok) throw ArgumentError("expected an array");
  return length;
}

at::Scalar toScalar(napi_env env, napi_value value, napi_valuetype type) {
  if (type == napi_boolean) return at::Scalar(readBool(env, value, "value"));
  if (type == napi_bigint) return at::Scalar(readInt(env, value, "value"));
  const double number = readDouble(env, value, "value");
  // Whole numbers go as integers, as in Python: an integer tensor plus 1 stays an integer tensor.
  if (number == std::floor(number) && std::abs(number) <= 9007199254740992.0 && !(number == 0 && std::signbit(number))) return at::Scalar(static_cast<int64_t>(number));
  return at::Scalar(number);
}

IValue toIValue(napi_env env, Kind kind, napi_value value, napi_valuetype type) {
  switch (kind) {
    case Kind::tensor: return readTensor(env, value);
    case Kind::integer: return type == napi_boolean ? static_cast<int64_t>(readBool(env, value, "value")) : readInt(env, value, "value");
    case Kind::number: return readDouble(env, value, "value");
    case Kind::boolean: return readBool(env, value, "value");
    case Kind::scalar: return toScalar(env, value, type);
    case Kind::string: return readString(env, value, "value");
    case Kind::device: return c10::Device(readString(env, value, "value"));
    case Kind::generator: return *readGenerator(env, value);
    case Kind::integerList: {
      if (type == napi_number) return c10::List<int64_t>({readInt(env, value, "value")});
      const uint32_t length = lengthOf(env, value);
      c10::List<int64_t> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(readInt(env, element(env, value, i), "value"));
      return list;
    }
    case Kind::numberList: {
      const uint32_t length = lengthOf(env, value);
      c10::List<double> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(readDouble(env, element(env, value, i), "value"));
      return list;
    }
    case Kind::booleanList: {
      const uint32_t length = lengthOf(env, value);
      c10::List<bool> list;
      for (uint32_t i = 0; i < length; i++) list.push_back(readBool(env, element(env, value, i), "value"));
      return list;
    }
    case Kind::scalarList: {
      const uint32_t length = lengthOf(env, value);
      c10::impl::GenericList list(c10::NumberType::get());
      for (uint32_t i = 0; i < length; i++) {
        napi_value item = element(env, value, i);
        napi_valuetype itemType;
        napi_typeof(env, item, &itemType);
        list.push_back(IValue(toScalar(env, item, itemType)));
      }
      return list;
    }
    case Kind::tensorList: {
      const uint32_t length = lengthOf(env, value);
      c10::List<at::Tensor> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(readTensor(env, element(env, value, i)));
      return list;
    }
    case Kind::optionalTensorList: {
      const uint32_t length = lengthOf(env, value);
      c10::List<std::optional<at::Tensor>> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) {
        napi_value item = element(env, value, i);
        napi_valuetype itemType;
        napi_typeof(env, item, &itemType);
        if (itemType == napi_number) list.push_back(readTensor(env, item));
        else list.push_back(std::nullopt);
      }
      return list;
    }
    default: throw ArgumentError("this argument's type cannot be passed from JavaScript");
  }
}

napi_value fromIValue(napi_env env, const IValue& value) {
  if (value.isTensor()) return makeTensor(env, value.toTensor());
  if (value.isInt()) return makeNumber(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return makeNumber(env, value.toDouble());
  if (value.isBool()) return makeBool(env, value.toBool());
  if (value.isTensorList()) {
    const auto list = value.toTensorVector();
    napi_value array;
    check(env, napi_create_array_with_length(env, list.size(), &array), "an array");
    for (size_t i = 0; i < list.size(); i++) napi_set_element(env, array, i, makeTensor(env, list[i]));
    return array;
  }
  if (value.isScalar()) return makeNumber(env, value.toScalar().toDouble());
  if (value.isSymInt()) return makeNumber(env, static_cast<double>(value.toSymInt().expect_int()));
  return makeUndefined(env);
}

// operator(name, overload) -> { id, inPlace, arguments: [{ name, type, optional, hasDefault, keywordOnly }], returns: [type] }
TUNESMITH_FUNCTION(findOperator) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::string name = readString(env, a[0], "name"), overload = readString(env, a[1], "overload");
    const auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (!handle) throw ArgumentError("libtorch has no operator " + name + (overload.empty() ? "" : "." + overload));
    const auto& schema = handle->schema();
    const auto* alias = schema.returns().size() == 1 ? schema.returns()[0].alias_info() : nullptr;
    auto* op = new Operator{*handle, {}, schema.returns().size(), alias != nullptr && alias->isWrite()};
    napi_value result, arguments, returns;
    napi_create_object(env, &result);
    napi_create_array(env, &arguments);
    napi_create_array(env, &returns);
    uint32_t position = 0;
    for (const auto& argument : schema.arguments()) {
      bool optional = false;
      const Kind kind = kindOf(argument.real_type(), optional);
      op->arguments.push_back({argument.name(), kind, optional, argument.default_value()});
      napi_value entry;
      napi_create_object(env, &entry);
      setField(env, entry, "name", makeString(env, argument.name()));
      setField(env, entry, "type", makeString(env, argument.real_type()->str()));
      setField(env, entry, "optional", makeBool(env, optional));
      setField(env, entry, "hasDefault", makeBool(env, argument.default_value().has_value()));
      setField(env, entry, "keywordOnly", makeBool(env, argument.kwarg_only()));
      napi_set_element(env, arguments, position++, entry);
    }
    position = 0;
    for (const auto& value : schema.returns()) napi_set_element(env, returns, position++, makeString(env, value.type()->str()));
    std::lock_guard<std::mutex> lock(operatorsMutex);
    const int32_t id = operatorCount;
    if (id >= static_cast<int32_t>(kMaxOperators)) throw ArgumentError("too many operators");
    operators[id] = op;
    operatorCount = id + 1;
    setField(env, result, "id", makeNumber(env, id));
    setField(env, result, "inPlace", makeBool(env, op->inPlace));
    setField(env, result, "arguments", arguments);
    setField(env, result, "returns", returns);
    return result;
  });
}

// call(id, ...arguments in the schema's order); undefined takes the schema's default, null is None.
TUNESMITH_FUNCTION(call) {
  return guarded(env, [&] {
    Arguments a(env, info);
    int32_t id = -1;
    if (napi_get_value_int32(env, a[0], &id) != napi_ok || id < 0 || id >= operatorCount) throw ArgumentError("unknown operator");
    const Operator& op = *operators[id].load();
    torch::jit::Stack stack;
    stack.reserve(std::max(op.arguments.size(), op.returns));
    for (size_t i = 0; i < op.arguments.size(); i++) {
      const Argument& argument = op.arguments[i];
      napi_valuetype type = napi_undefined;
      if (i + 1 < a.count) napi_typeof(env, a[i + 1], &type);
      if (type == napi_undefined) {
        if (argument.fallback) stack.push_back(*argument.fallback);
        else if (argument.optional) stack.emplace_back();
        else throw ArgumentError("missing argument `" + argument.name + "`");
      } else if (type == napi_null) {
        if (!argument.optional) throw ArgumentError("expected a value for `" + argument.name + "`, got null");
        stack.emplace_back();
      } else {
        try {
          stack.push_back(toIValue(env, argument.kind, a[i + 1], type));
        } catch (const ArgumentError& error) {
          throw ArgumentError("`" + argument.name + "`: " + error.what());
        }
      }
    }
    op.handle.callBoxed(stack);
    if (op.inPlace || stack.empty()) return makeUndefined(env);
    if (stack.size() == 1) return fromIValue(env, stack[0]);
    napi_value results;
    check(env, napi_create_array_with_length(env, stack.size(), &results), "an array");
    for (size_t i = 0; i < stack.size(); i++) napi_set_element(env, results, i, fromIValue(env, stack[i]));
    return results;
  });
}

}  // namespace

std::vector<Export> dispatchExports() { return {{"operator", findOperator}, {"call", call}}; }

}  // namespace tunesmith
