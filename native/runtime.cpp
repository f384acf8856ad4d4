// Settings and facts of the process: threads, generators, determinism, devices, and libtorch's build for `doctor`.
#include "binding.h"
#include "planning.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Config.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/Generator.h>
#include <ATen/detail/AcceleratorHooksInterface.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/detail/MPSHooksInterface.h>
#include <torch/version.h>

namespace tunesmith {
namespace {

void finalize_generator(node_api_basic_env, void* data, void*) { delete static_cast<at::Generator*>(data); }

// generator(seed bigint) -> external
TUNESMITH_FUNCTION(make_generator) {
  return guarded(env, [&] {
    Arguments a(env, info);
    uint64_t seed;
    bool lossless;
    if (napi_get_value_bigint_uint64(env, a[0], &seed, &lossless) != napi_ok || !lossless)
      throw ArgumentError("expected a 64-bit seed");
    auto* generator = new at::Generator(at::detail::createCPUGenerator(seed));
    napi_value result;
    check(env, napi_create_external(env, generator, finalize_generator, nullptr, &result), "a generator");
    return result;
  });
}

TUNESMITH_FUNCTION(seed_generator) {
  return guarded(env, [&] {
    Arguments a(env, info);
    uint64_t seed;
    bool lossless;
    if (napi_get_value_bigint_uint64(env, a[1], &seed, &lossless) != napi_ok || !lossless)
      throw ArgumentError("expected a 64-bit seed");
    auto* generator = read_generator(env, a[0]);
    std::lock_guard<std::mutex> lock(generator->mutex());
    generator->set_current_seed(seed);
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(generator_state) {
  return guarded(env, [&] {
    Arguments a(env, info);
    auto* generator = read_generator(env, a[0]);
    const ComputeValues in_plans_too;
    std::lock_guard<std::mutex> lock(generator->mutex());
    return make_tensor(env, generator->get_state());
  });
}

TUNESMITH_FUNCTION(set_generator_state) {
  return guarded(env, [&] {
    Arguments a(env, info);
    auto* generator = read_generator(env, a[0]);
    const at::Tensor state = read_tensor(env, a[1]);
    const ComputeValues in_plans_too;
    std::lock_guard<std::mutex> lock(generator->mutex());
    generator->set_state(state);
    return make_undefined(env);
  });
}

// seedDefault(bigint): seeds the default generators of all devices, which operators use without a generator
TUNESMITH_FUNCTION(seed_default) {
  return guarded(env, [&] {
    Arguments a(env, info);
    uint64_t seed;
    bool lossless;
    if (napi_get_value_bigint_uint64(env, a[0], &seed, &lossless) != napi_ok || !lossless)
      throw ArgumentError("expected a 64-bit seed");
    at::manual_seed(seed);
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(set_threads) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const int64_t count = read_int(env, a[0], "threads");
    if (count < 1 || count > 4096) throw ArgumentError("expected 1 to 4096 threads, got " + std::to_string(count));
    at::set_num_threads(static_cast<int>(count));
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(threads) {
  return guarded(env, [&] { return make_number(env, at::get_num_threads()); });
}

TUNESMITH_FUNCTION(set_deterministic) {
  return guarded(env, [&] {
    Arguments a(env, info);
    at::globalContext().setDeterministicAlgorithms(read_bool(env, a[0], "deterministic"), true);
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(deterministic) {
  return guarded(env, [&] { return make_bool(env, at::globalContext().deterministicAlgorithms()); });
}

// buildFacts(): version and features of libtorch, and the devices of the machine
TUNESMITH_FUNCTION(build_facts) {
  return guarded(env, [&] {
    napi_value result;
    napi_create_object(env, &result);
    set_field(env, result, "torchVersion", make_string(env, TORCH_VERSION));
    set_field(env, result, "config", make_string(env, at::show_config()));
    set_field(env, result, "cpuCapability", make_string(env, at::get_cpu_capability()));
    set_field(env, result, "mkl", make_bool(env, at::hasMKL()));
    set_field(env, result, "oneDnn", make_bool(env, at::globalContext().hasMKLDNN()));
    set_field(env, result, "openMp", make_bool(env, at::hasOpenMP()));
    // Not at::hasCUDA(), which needs a card: libtorch_cuda registers its hooks when it is loaded.
    set_field(env, result, "cuda", make_bool(env, at::CUDAHooksRegistry()->Has("CUDAHooks")));
    set_field(
        env, result, "cudaDevices",
        make_number(env, at::hasCUDA() ? static_cast<double>(
                                             at::globalContext().getAcceleratorHooksInterface(c10::kCUDA).deviceCount())
                                       : 0));
    set_field(env, result, "mps", make_bool(env, at::MPSHooksRegistry()->Has("MPSHooks")));
    set_field(env, result, "mpsDevices", make_number(env, at::hasMPS() ? 1 : 0));
    set_field(env, result, "threads", make_number(env, at::get_num_threads()));
    return result;
  });
}

}  // namespace

std::vector<Export> runtime_exports() {
  return {{"generator", make_generator},
          {"seedGenerator", seed_generator},
          {"generatorState", generator_state},
          {"setGeneratorState", set_generator_state},
          {"seedDefault", seed_default},
          {"setThreads", set_threads},
          {"threads", threads},
          {"setDeterministic", set_deterministic},
          {"deterministic", deterministic},
          {"buildFacts", build_facts}};
}

}  // namespace tunesmith
