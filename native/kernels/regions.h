// Loops of decoding on as many threads as help. A region is short, and its caller waits for the slowest thread: where
// other processes hold the cores, one thread alone is faster. Only for loops whose results do not depend on the split.
#pragma once
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <vector>

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
  // @param regions how many the times are of
  void measured(const RegionTimes& times, int64_t now, int regions = 1);

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
void note_region(const RegionTimes& times, int regions = 1);
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

// Threads that go through one call together. Starting and ending a region takes several microseconds, and a call of
// many layers has hundreds of short ones: in a team they are stages, after which the threads wait for each other. Where
// that turns out to be slower than one thread, all but the first leave the call at the end of a stretch.
class Team {
 public:
  // What a thread of the team knows about itself. Without a team there is one, whose stages are regions.
  class Member {
   public:
    // Runs body(first, last) for all numbers below `count`, in parts, and waits until all of them are done. `grain` is
    // that of share_work, for a member without a team.
    template <class Body> void share(int64_t count, int64_t grain, const Body& body) {
      if (team_ == nullptr) return share_work(count, grain, body);
      const int64_t part = (count + size_ - 1) / size_;
      const int64_t first = std::min(count, number_ * part), last = std::min(count, first + part);
      if (first < last) body(first, last);
      wait();
    }
    bool leads() const { return number_ == 0; }
    // Ends a stretch of stages, such as a layer; false where this thread leaves the call.
    bool goes_on();

   private:
    friend class Team;
    Member(Team* team, int number, int size);
    void wait();

    Team* team_;
    int number_, size_;
    // Of the stretch so far: when it began, and times of waiting that was short, and of all waiting.
    int64_t start_ = 0, start_cpu_ = 0, spun_ = 0, slept_ = 0;
    int64_t stages_ = 0, stretches_ = 0;
    bool leaves_ = false;  // what the first member has decided: the others leave after the next stretch
  };

  // Runs body(member) on up to `wanted` threads, or on the calling one alone where others hold the cores. A thread that
  // throws ends the call for all.
  template <class Body> static void run(int64_t wanted, const Body& body) {
    const int64_t most = std::min<int64_t>(wanted, at::get_num_threads());
#ifdef _OPENMP
    if (most > 1 && !at::in_parallel_region() && wants_several_threads()) {
      Team team(most);
#pragma omp parallel num_threads(int(most))
      team.enter([&](int number, int size) {
        Member member(&team, number, size);
        body(member);
      });
      if (team.error_) std::rethrow_exception(team.error_);
      return;
    }
#endif
    Member alone(nullptr, 0, 1);
    body(alone);
  }

 private:
  // What a member did in a stretch, which the first one reads after the stage that ends it.
  struct alignas(64) Report {
    int64_t wall = 0, cpu = 0, spun = 0, slept = 0;
  };
  struct Stopped {};

  explicit Team(int64_t most) : reports_(size_t(most)) {}
  template <class Body> void enter(const Body& body) {
    try {
      body(thread_number(), thread_count());
    } catch (const Stopped&) {
      // Another thread threw.
    } catch (...) {
      const std::lock_guard<std::mutex> lock(guard_);
      if (!error_) error_ = std::current_exception();
      stopped_ = true;
    }
  }
  static int thread_number();
  static int thread_count();

  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> turn_{0};
  std::atomic<bool> stopped_{false};
  bool alone_ = false;  // written by the first member before a stage ends, and read after it
  std::vector<Report> reports_;
  std::mutex guard_;
  std::exception_ptr error_;
};

}  // namespace tunesmith
