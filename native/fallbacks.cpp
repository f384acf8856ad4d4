#include "fallbacks.h"

#include "binding.h"

#include <c10/util/Exception.h>

#include <map>
#include <mutex>

namespace tunesmith {
namespace {

// The words of aten/src/ATen/mps/MPSFallback.mm, the only sign of such a call that libtorch gives.
const std::string before_name = "The operator '", after_name = "' is not currently supported on the ",
                  after_backend = " backend and will fall back to run on the CPU.";

std::mutex mutex;
std::map<std::string, int64_t> calls;

// fallbacks() -> { operator: calls } of this process
TUNESMITH_FUNCTION(read_fallbacks) {
  return guarded(env, [&] {
    napi_value result;
    napi_create_object(env, &result);
    const std::lock_guard<std::mutex> lock(mutex);
    for (const auto& [name, count] : calls)
      set_field(env, result, name.c_str(), make_number(env, static_cast<double>(count)));
    return result;
  });
}

}  // namespace

bool note_fallback(const std::string& warning) {
  if (warning.rfind(before_name, 0) != 0) return false;
  const size_t end = warning.find(after_name, before_name.size());
  if (end == std::string::npos || warning.find(after_backend, end) == std::string::npos) return false;
  const std::lock_guard<std::mutex> lock(mutex);
  calls[warning.substr(before_name.size(), end - before_name.size())]++;
  return true;
}

void count_fallbacks() { c10::WarningUtils::set_warnAlways(true); }

std::vector<Export> fallback_exports() { return {{"fallbacks", read_fallbacks}}; }

}  // namespace tunesmith
