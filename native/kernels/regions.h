// Loops of decoding on as many threads as help. A region is short, and its caller waits for the slowest thread: where
// other processes hold the cores, one thread alone is faster. Only for loops whose results do not depend on the split.
#pragma once
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace tunesmith {

// What a region on several threads took, in nanoseconds.
struct RegionTimes {
  int64_t wall = 0;      // until the last thread was done
  int64_t own_wall = 0;  // of the calling thread's part
  int64_t own_cpu = 0;
  int64_t all_cpu = 0;  // of all parts
};

// Learns from the times of regions whether several threads are faster than one.
class ThreadChoice {
 public:
  // Whether the next region should use several threads. `now` in nanoseconds.
  bool several(int64_t now) const { return now >= alone_until_; }
  void measured(const RegionTimes& times, int64_t now);

 private:
  static constexpr int64_t first_pause = 20'000'000, longest_pause = 2'000'000'000;
  // Regions that are measured before a choice: few after a pause, as they may be slow ones. The first one after a pause
  // wakes the other threads, which says nothing about the next ones.
  static constexpr int usual = 32, after_pause = 2;

  std::atomic<int64_t> alone_until_{0};
  RegionTimes sum_;
  int counted_ = 0, wanted_ = usual;
  bool wakes_ = false;
  int64_t pause_ = first_pause;
};

// The choice of the process, which regions of its main compute thread share.
bool wants_several_threads();
void note_region(const RegionTimes& times);
int64_t wall_time();
int64_t thread_time();

// As at::parallel_for from 0, on one thread where several are slower.
template <class Body> void share_work(int64_t count, int64_t grain, const Body& body) {
  const int64_t most = (count + grain - 1) / std::max<int64_t>(1, grain);
  if (count <= 0) return;
  if (most <= 1 || at::in_parallel_region() || at::get_num_threads() == 1 || !wants_several_threads()) {
    body(int64_t(0), count);
    return;
  }
  std::atomic<int64_t> all_cpu{0};
  RegionTimes times;
  const int64_t start = wall_time();
  at::parallel_for(0, count, grain, [&](int64_t first, int64_t last) {
    const int64_t before = thread_time();
    body(first, last);
    const int64_t cpu = thread_time() - before;
    all_cpu += cpu;
    if (first == 0) {
      times.own_wall = wall_time() - start;
      times.own_cpu = cpu;
    }
  });
  times.wall = wall_time() - start;
  times.all_cpu = all_cpu;
  note_region(times);
}

}  // namespace tunesmith
