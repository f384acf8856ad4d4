// Registers the addon in each Node environment (main thread or worker) that loads it, and cleans up when that ends.
#include "accelerator.h"
#include "binding.h"
#include "fallbacks.h"

#include <c10/core/AutogradState.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <unordered_set>

namespace tunesmith {

Environment& environment_of(napi_env env) {
  void* data = nullptr;
  if (napi_get_instance_data(env, &data) != napi_ok || data == nullptr)
    throw ArgumentError("the addon is not initialised in this thread");
  return *static_cast<Environment*>(data);
}

void settle(Environment& environment) {
  std::vector<napi_ref> dead;
  int64_t bytes = 0;
  {
    std::lock_guard<std::mutex> lock(environment.mutex);
    dead.swap(environment.dead_references);
    std::swap(bytes, environment.external_bytes);
  }
  for (napi_ref reference : dead) napi_delete_reference(environment.env, reference);
  int64_t total;
  if (bytes != 0) napi_adjust_external_memory(environment.env, bytes, &total);
}

// The Environment is never freed: autograd nodes and finalizers may outlive the thread and still point to it.
static void clean_up(void* data) {
  auto* environment = static_cast<Environment*>(data);
  drop_owned_by(environment->ordinal);
}

// Prints libtorch's warnings as one line, without the source location. Where it warns of each call, as fallbacks of an
// accelerator are counted by that, each line is printed once.
struct OneLineWarnings : c10::WarningHandler {
  std::mutex mutex;
  std::unordered_set<std::string> printed;

  void process(const c10::Warning& warning) override {
    if (note_fallback(warning.msg())) return;
    const std::string line = first_line(warning.msg());
    if (c10::WarningUtils::get_warnAlways()) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!printed.insert(line).second) return;
    }
    std::fprintf(stderr, "libtorch: %s\n", line.c_str());
  }
};

static napi_value initialise(napi_env env, napi_value exports) {
  install_allocator();
  prepare_accelerators();
  static OneLineWarnings warnings;
  c10::WarningUtils::set_warning_handler(&warnings);
  static std::atomic<uint32_t> next{1};
  auto* environment = new Environment{};
  environment->env = env;
  environment->ordinal = next++;
  environment->thread = std::this_thread::get_id();
  napi_set_instance_data(env, environment, nullptr, nullptr);
  napi_add_env_cleanup_hook(env, clean_up, environment);
  // Backward runs on the thread that calls it on every device, as it may call JavaScript.
  c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
  for (const auto& list : {dispatch_exports(), tensor_exports(), autograd_exports(), runtime_exports(),
                           memory_exports(), tensor_file_exports(), planning_exports(), accelerator_exports(),
                           fallback_exports(), strict_device_exports(), process_group_exports()})
    for (const Export& entry : list) {
      napi_value function;
      napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, nullptr, &function);
      napi_set_named_property(env, exports, entry.name, function);
    }
  return exports;
}

}  // namespace tunesmith

NAPI_MODULE_INIT() { return tunesmith::initialise(env, exports); }
