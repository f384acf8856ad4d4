// The watch over the processes of a group: each beats on a board that all can read, and one that stops beating, or says
// that it failed, ends the others. Independent of c10d.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tunesmith {

// Where processes beat. `read` gives the beat of each process, then the message of one that failed.
struct BeatBoard {
  virtual ~BeatBoard() = default;
  virtual void beat(const std::string& value) = 0;
  virtual std::vector<std::string> read() = 0;
};

// In milliseconds: between beats; silence that counts as death; the same once a collective has failed; and the time in
// which the main thread may end by itself after a failure.
struct WatchTimes {
  int64_t beat, deadline, urgent, grace;
};

void start_watching(std::unique_ptr<BeatBoard> board, size_t rank, std::vector<std::string> names, WatchTimes times);
// Empty while all answer. `urgent` shortens the deadline from now on.
std::string watched_failure(bool urgent);
// Says that this process leaves in order.
void stop_watching();

}  // namespace tunesmith
