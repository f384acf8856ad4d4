// Two threads: one beats and reads the others' beats, and may be stuck in a store that no longer answers; the other one
// judges by the clock, and ends the process if the main thread does not after a failure.
#include "watch.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

namespace tunesmith {
namespace {

using Clock = std::chrono::steady_clock;
constexpr const char* left = "left";
// After the main thread has seen the failure, it writes records, and may close files.
constexpr int64_t seen_grace_ms = 60'000;

struct Watch {
  std::unique_ptr<BeatBoard> board;
  size_t rank;
  std::vector<std::string> names;
  WatchTimes times;
  std::thread beater, judge;
  std::atomic<bool> stop{false}, urgent{false}, seen{false}, beaten{false};
  std::mutex mutex;  // guards the following
  std::string failure;
  std::vector<std::string> beats;
  std::vector<Clock::time_point> changed;
  Clock::time_point answered;
};

// Not destroyed at exit: the threads of a process that ends without leaving still use it.
std::shared_ptr<Watch>& current = *new std::shared_ptr<Watch>;

int64_t ms_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count();
}

int64_t ms_since(Clock::time_point from) { return ms_between(from, Clock::now()); }

std::string seconds(int64_t ms) {
  return ms % 1000 == 0 ? std::to_string(ms / 1000) : std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100);
}

void fail(Watch& watch, const std::string& message) {
  std::lock_guard<std::mutex> lock(watch.mutex);
  if (watch.failure.empty()) watch.failure = message;
}

void beat_until_end(const std::shared_ptr<Watch>& watch) {
  try {
    for (int64_t count = 1; !watch->stop; count++) {
      watch->board->beat(std::to_string(count));
      const auto values = watch->board->read();
      {
        std::lock_guard<std::mutex> lock(watch->mutex);
        watch->answered = Clock::now();
        for (size_t i = 0; i < watch->names.size(); i++)
          if (values[i] != watch->beats[i]) {
            watch->beats[i] = values[i];
            watch->changed[i] = watch->answered;
          }
      }
      const std::string& message = values.back();
      if (!message.empty()) return fail(*watch, message);
      for (int64_t slept = 0; slept < watch->times.beat && !watch->stop; slept += 20)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    watch->board->beat(left);
  } catch (const std::exception&) {
    if (!watch->stop)
      fail(*watch, "The store of the process group is gone: the process that serves it has ended (" +
                       watch->names.at(0) + ", or the launcher).");
  }
}

void beat(const std::shared_ptr<Watch>& watch) {
  beat_until_end(watch);
  watch->beaten = true;
}

// The first process that has been silent for too long.
std::string silent(Watch& watch) {
  const int64_t limit = watch.urgent ? watch.times.urgent : watch.times.deadline;
  std::lock_guard<std::mutex> lock(watch.mutex);
  if (ms_since(watch.answered) > limit)
    return "The store of the process group has not answered for " + seconds(limit) +
           " s: the process that serves it hangs (" + watch.names.at(0) + ", or the launcher).";
  // Up to the store's last answer: where the store is lost nobody's beat is seen, and a neighbour would be named.
  for (size_t i = 0; i < watch.names.size(); i++)
    if (i != watch.rank && watch.beats[i] != left && ms_between(watch.changed[i], watch.answered) > limit)
      return watch.names[i] + " has not answered for " + seconds(limit) +
             " s: it was killed, is stopped, or its network is gone.";
  return "";
}

void judge(const std::shared_ptr<Watch>& watch) {
  bool failed = false;
  Clock::time_point since;
  while (!watch->stop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::string failure;
    {
      std::lock_guard<std::mutex> lock(watch->mutex);
      failure = watch->failure;
    }
    if (failure.empty()) {
      failure = silent(*watch);
      if (!failure.empty()) fail(*watch, failure);
    }
    if (failure.empty()) continue;
    if (!failed) {
      failed = true;
      since = Clock::now();
    }
    if (ms_since(since) < (watch->seen ? seen_grace_ms : watch->times.grace)) continue;
    std::fprintf(stderr, "error: %s\n", failure.c_str());
    std::fflush(stderr);
    _exit(1);
  }
}

}  // namespace

void start_watching(std::unique_ptr<BeatBoard> board, size_t rank, std::vector<std::string> names, WatchTimes times) {
  auto watch = std::make_shared<Watch>();
  watch->board = std::move(board);
  watch->rank = rank;
  watch->beats.resize(names.size());
  watch->changed.assign(names.size(), Clock::now());
  watch->answered = Clock::now();
  watch->names = std::move(names);
  watch->times = times;
  watch->beater = std::thread(beat, watch);
  watch->judge = std::thread(judge, watch);
  current = watch;
}

std::string watched_failure(bool urgent) {
  if (!current) return "";
  if (urgent) current->urgent = true;
  std::lock_guard<std::mutex> lock(current->mutex);
  if (!current->failure.empty()) current->seen = true;
  return current->failure;
}

void stop_watching() {
  if (!current) return;
  current->stop = true;
  current->judge.join();
  // A store that does not answer must not keep this process.
  for (int waited = 0; waited < 2000 && !current->beaten; waited += 10)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  if (current->beaten)
    current->beater.join();
  else
    current->beater.detach();
  current.reset();
}

}  // namespace tunesmith
