// The choice of threads by load, and clocks.
#include "regions.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <ctime>
#include <mutex>
#include <thread>

#ifdef _OPENMP
#include <omp.h>
#endif

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

void ThreadChoice::measured(const RegionTimes& times, int64_t now, int regions) {
  if (wakes_) {
    wakes_ = false;
    return;
  }
  sum_.wall += times.wall;
  sum_.own_wall += times.own_wall;
  sum_.own_cpu += times.own_cpu;
  sum_.all_cpu += times.all_cpu;
  counted_ += regions;
  if (counted_ < wanted_) return;
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

void note_region(const RegionTimes& times, int regions) {
  const std::lock_guard<std::mutex> lock(choice_mutex);
  choice.measured(times, wall_time(), regions);
}

namespace {

// Waiting for as long as a stage takes is spinning; after it, whoever else wants the core gets it.
constexpr int64_t longest_spin = 20'000;

inline void pause_thread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

int Team::thread_number() {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}
int Team::thread_count() {
#ifdef _OPENMP
  return omp_get_num_threads();
#else
  return 1;
#endif
}

Team::Member::Member(Team* team, int number, int size) : team_(team), number_(number), size_(size) {
  if (team_ == nullptr) return;
  start_ = wall_time();
  start_cpu_ = thread_time();
}

void Team::Member::wait() {
  Team& team = *team_;
  stages_++;
  const uint32_t turn = team.turn_.load(std::memory_order_relaxed);
  if (team.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    team.arrived_.store(0, std::memory_order_relaxed);
    team.turn_.store(turn + 1, std::memory_order_release);
    return;
  }
  const int64_t start = wall_time();
  int64_t waited = 0;
  for (int turns = 0; team.turn_.load(std::memory_order_acquire) == turn; turns++) {
    if (team.stopped_.load(std::memory_order_relaxed)) throw Stopped();
    if (waited >= longest_spin)
      std::this_thread::yield();
    else
      pause_thread();
    if (turns % 16 == 15) waited = wall_time() - start;
  }
  waited = wall_time() - start;
  (waited < longest_spin ? spun_ : slept_) += waited;
}

bool Team::Member::goes_on() {
  if (team_ == nullptr) return true;
  Team& team = *team_;
  const int64_t now = wall_time(), cpu = thread_time(), stages = stages_;
  team.reports_[size_t(number_)] = {now - start_, cpu - start_cpu_, spun_, slept_};
  if (leads()) team.alone_ = leaves_;
  start_ = now;
  start_cpu_ = cpu;
  spun_ = slept_ = stages_ = 0;
  // One more stage: then all members know the same decision, and the first one the reports.
  wait();
  const bool alone = team.alone_;
  if (leads() && !alone) {
    RegionTimes times;
    for (int i = 0; i < size_; i++) {
      const Report& report = team.reports_[size_t(i)];
      const int64_t active = std::max<int64_t>(1, report.wall - report.slept);
      const double busy = double(std::max<int64_t>(0, active - report.spun)) / double(active);
      times.all_cpu += int64_t(double(report.cpu) * busy);
      if (i > 0) continue;
      times.wall = report.wall;
      times.own_wall = active;
      times.own_cpu = report.cpu;
    }
    // The first stretch wakes the threads.
    if (stretches_++ > 0) note_region(times, int(stages));
    leaves_ = !wants_several_threads();
  }
  if (!alone) return true;
  if (!leads()) return false;
  team_ = nullptr;
  size_ = 1;
  return true;
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
