// What belongs to the machine and the process: threads, generators, determinism, devices, and facts for `doctor`.
#include "binding.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Config.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/Generator.h>
#include <ATen/detail/AcceleratorHooksInterface.h>
#include <torch/version.h>

namespace tunesmith {
namespace {

void finalizeGenerator(node_api_basic_env, void* data, void*) { delete static_cast<at::Generator*>(data); }

// generator(seed bigint) -> external
TUNESMITH_FUNCTION(makeGenerator) {
  return guarded(env, [&] {
    Arguments a(env, info);
    uint64_t seed;
    bool lossless;
    if (napi_get_value_bigint_uint64(env, a[0], &seed, &lossless) != napi_ok || !lossless) throw ArgumentError("expected a 64-bit seed");
    auto* generator = new at::Generator(at::detail::createCPUGenerator(seed));
    napi_value result;
    check(env, napi_create_external(env, generator, finalizeGenerator, nullptr, &result), "a generator");
    return result;
  });
}

TUNESMITH_FUNCTION(seedGenerator) {
  return guarded(env, [&] {
    Arguments a(env, info);
    uint64_t seed;
    bool lossless;
    if (napi_get_value_bigint_uint64(env, a[1], &seed, &lossless) != napi_ok || !lossless) throw ArgumentError("expected a 64-bit seed");
    auto* generator = readGenerator(env, a[0]);
    std::lock_guard<std::mutex> lock(generator->mutex());
    generator->set_current_seed(seed);
    return makeUndefined(env);
  });
}

TUNESMITH_FUNCTION(generatorState) {
  return guarded(env, [&] {
    Arguments a(env, info);
    auto* generator = readGenerator(env, a[0]);
    std::lock_guard<std::mutex> lock(generator->mutex());
    return makeTensor(env, generator->get_state());
  });
}

TUNESMITH_FUNCTION(setGeneratorState) {
  return guarded(env, [&] {
    Arguments a(env, info);
    auto* generator = readGenerator(env, a[0]);
    const at::Tensor state = readTensor(env, a[1]);
    std::lock_guard<std::mutex> lock(generator->mutex());
    generator->set_state(state);
    return makeUndefined(env);
  });
}

// seed(bigint): the default generators of every device, for operators called without one
TUNESMITH_FUNCTION(seedDefault) {
  return guarded(env, [&] {
    Arguments a(env, info);
    uint64_t seed;
    bool lossless;
    if (napi_get_value_bigint_uint64(env, a[0], &seed, &lossless) != napi_ok || !lossless) throw ArgumentError("expected a 64-bit seed");
    at::manual_seed(seed);
    return makeUndefined(env);
  });
}

TUNESMITH_FUNCTION(setThreads) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const int64_t count = readInt(env, a[0], "threads");
    if (count < 1 || count > 4096) throw ArgumentError("expected 1 to 4096 threads, got " + std::to_string(count));
    at::set_num_threads(static_cast<int>(count));
    return makeUndefined(env);
  });
}

TUNESMITH_FUNCTION(threads) {
  return guarded(env, [&] { return makeNumber(env, at::get_num_threads()); });
}

TUNESMITH_FUNCTION(setDeterministic) {
  return guarded(env, [&] {
    Arguments a(env, info);
    at::globalContext().setDeterministicAlgorithms(readBool(env, a[0], "deterministic"), true);
    return makeUndefined(env);
  });
}

// build(): what libtorch this addon was made for and what the machine offers to it
TUNESMITH_FUNCTION(buildFacts) {
  return guarded(env, [&] {
    napi_value result;
    napi_create_object(env, &result);
    setField(env, result, "torchVersion", makeString(env, TORCH_VERSION));
    setField(env, result, "config", makeString(env, at::show_config()));
    setField(env, result, "cpuCapability", makeString(env, at::get_cpu_capability()));
    setField(env, result, "mkl", makeBool(env, at::hasMKL()));
    setField(env, result, "oneDnn", makeBool(env, at::globalContext().hasMKLDNN()));
    setField(env, result, "openMp", makeBool(env, at::hasOpenMP()));
    setField(env, result, "cuda", makeBool(env, at::hasCUDA()));
    setField(env, result, "cudaDevices", makeNumber(env, at::hasCUDA() ? static_cast<double>(at::globalContext().getAcceleratorHooksInterface(c10::kCUDA).deviceCount()) : 0));
    setField(env, result, "threads", makeNumber(env, at::get_num_threads()));
    return result;
  });
}

}  // namespace

std::vector<Export> runtimeExports() {
  return {{"generator", makeGenerator}, {"seedGenerator", seedGenerator}, {"generatorState", generatorState}, {"setGeneratorState", setGeneratorState}, {"seedDefault", seedDefault}, {"setThreads", setThreads}, {"threads", threads}, {"setDeterministic", setDeterministic}, {"buildFacts", buildFacts}};
}

}  // namespace tunesmith
