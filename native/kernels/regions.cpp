// The choice of threads by load, and clocks.
#include "regions.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <ctime>
#include <mutex>

namespace tunesmith {
namespace {

int64_t read_clock(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

ThreadChoice choice;
std::mutex choice_mutex;

}  // namespace

int64_t wall_time() { return read_clock(CLOCK_MONOTONIC); }
int64_t thread_time() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

void ThreadChoice::measured(const RegionTimes& times, int64_t now) {
  if (wakes_) {
    wakes_ = false;
    return;
  }
  sum_.wall += times.wall;
  sum_.own_wall += times.own_wall;
  sum_.own_cpu += times.own_cpu;
  sum_.all_cpu += times.all_cpu;
  if (++counted_ < wanted_) return;
  // One thread would compute all of it, with the share of a core that the calling thread got.
  const double share = double(std::max<int64_t>(1, sum_.own_cpu)) / double(std::max<int64_t>(1, sum_.own_wall));
  const double alone = double(sum_.all_cpu) / std::min(1.0, share);
  const bool slower = double(sum_.wall) > alone;
  if (slower) {
    alone_until_ = now + pause_;
    pause_ = std::min(longest_pause, 4 * pause_);
  } else {
    pause_ = first_pause;
  }
  wanted_ = slower ? after_pause : usual;
  wakes_ = slower;
  sum_ = {};
  counted_ = 0;
}

bool wants_several_threads() { return choice.several(wall_time()); }

void note_region(const RegionTimes& times) {
  const std::lock_guard<std::mutex> lock(choice_mutex);
  choice.measured(times, wall_time());
}

namespace {

// What a choice of its own would say after the regions of `times`, int64 [n,4] in nanoseconds, one after another; 1 for
// several threads. Regions that it would run alone do not count. For tests.
at::Tensor thread_choices(const at::Tensor& given) {
  TORCH_CHECK(given.scalar_type() == at::kLong && given.dim() == 2 && given.size(1) == 4,
              "Expected int64 [n,4] as `times` of tunesmith::thread_choices, got ", given.sizes(), ".");
  const at::Tensor times = given.contiguous();
  const int64_t* value = times.const_data_ptr<int64_t>();
  ThreadChoice own;
  int64_t now = 1;
  at::Tensor several = at::empty({times.size(0)}, times.options());
  for (int64_t i = 0; i < times.size(0); i++, value += 4) {
    const bool chosen = own.several(now);
    several.mutable_data_ptr<int64_t>()[i] = chosen;
    now += value[0];
    if (chosen) own.measured({value[0], value[1], value[2], value[3]}, now);
  }
  return several;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) { m.def("thread_choices(Tensor times) -> Tensor", &thread_choices); }

}  // namespace tunesmith
