// Maps files. The system answers a read beyond the end of a file that was truncated meanwhile with SIGBUS, which would
// end the process; the handler here puts zeros in the place of the missing pages and counts, so that the call becomes
// an error instead.
#include "mapped-files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

namespace tunesmith {
namespace {

// A mapping as the signal handler sees it. Regions are reused and never freed, so the handler may walk the list at any
// time.
struct Region {
  std::atomic<uintptr_t> start{0};  // 0 while unused
  std::atomic<size_t> bytes{0};
  std::atomic<uintptr_t> lost_from{0};                      // address from which zeros replace the file, 0 for none
  std::string path;                                         // guarded by the mutex
  std::vector<std::pair<uintptr_t, uintptr_t>> given_back;  // pages, guarded by the mutex
  Region* next = nullptr;
};

std::atomic<Region*> regions{nullptr};
std::atomic<uint64_t> reads{0};
std::mutex mutex;
uintptr_t page_bytes = 4096;
int empty_file = -1;
struct sigaction previous;

bool replace(uintptr_t from, uintptr_t end, int flags, int file) {
  return mmap(reinterpret_cast<void*>(from), end - from, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | flags, file, 0) != MAP_FAILED;
}

// Only system calls and atomics: a signal handler may do no more.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int reason = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Region* region = regions.load(); region != nullptr; region = region->next) {
    const uintptr_t start = region->start;
    const uintptr_t end = start + region->bytes;
    if (start == 0 || address < start || address >= end) continue;
    // Where one page is missing, all later ones are.
    const uintptr_t from = address / page_bytes * page_bytes;
    if (!replace(from, end, MAP_ANONYMOUS, -1)) break;
    uintptr_t lost = region->lost_from;
    while ((lost == 0 || from < lost) && !region->lost_from.compare_exchange_weak(lost, from)) {}
    reads++;
    errno = reason;
    return;
  }
  errno = reason;
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    sigaction(signal, &previous, nullptr);  // the instruction runs again, and ends the process
  }
}

// A file without any page: reads of memory that maps it are noticed.
int open_empty_file() {
#ifdef __linux__
  return memfd_create("tunesmith-empty", MFD_CLOEXEC);
#else
  char path[] = "/tmp/tunesmith-XXXXXX";
  const int file = mkstemp(path);
  if (file >= 0) unlink(path);
  return file;
#endif
}

void watch() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    empty_file = open_empty_file();
    struct sigaction action{};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous);
  });
}

Region* add_region(const std::string& path, uintptr_t start, size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  Region* region = regions;
  while (region != nullptr && region->start != 0) region = region->next;
  const bool added = region == nullptr;
  if (added) region = new Region;
  region->path = path;
  region->given_back.clear();
  region->lost_from = 0;
  region->bytes = bytes;
  region->start = start;
  if (added) {
    region->next = regions;
    regions = region;
  }
  return region;
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw std::runtime_error("cannot open " + path + ": " + std::strerror(errno));
  struct stat status{};
  void* address = nullptr;
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    bytes_ = static_cast<size_t>(status.st_size);
    watch();
    address = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, 0);
  }
  const int reason = errno;
  close(file);
  if (!S_ISREG(status.st_mode)) throw std::runtime_error("cannot map " + path + ": not a regular file");
  if (address == MAP_FAILED) throw std::runtime_error("cannot map " + path + ": " + std::strerror(reason));
  if (address == nullptr) return;
  data_ = static_cast<char*>(address);
  region_ = add_region(path, reinterpret_cast<uintptr_t>(address), bytes_);
}

MappedFile::~MappedFile() {
  if (region_ != nullptr) static_cast<Region*>(region_)->start = 0;
  if (data_ != nullptr) munmap(data_, bytes_);
}

#ifdef __linux__
namespace {

// For each page whether it is the file's own: a page that was written to is a copy. Empty where the system does not
// say.
std::vector<bool> unwritten_pages(uintptr_t start, size_t count) {
  constexpr uint64_t of_file = uint64_t{1} << 61, present = uint64_t{1} << 63;
  const int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (map < 0) return {};
  std::vector<uint64_t> entries(count);
  const auto offset = static_cast<off_t>(start / page_bytes * sizeof(uint64_t));
  const ssize_t read = pread(map, entries.data(), count * sizeof(uint64_t), offset);
  close(map);
  if (read != static_cast<ssize_t>(count * sizeof(uint64_t))) return {};
  std::vector<bool> own(count);
  for (size_t i = 0; i < count; i++) own[i] = (entries[i] & present) != 0 && (entries[i] & of_file) != 0;
  return own;
}

}  // namespace

namespace {

void give_back(uintptr_t start, uintptr_t end) {
  if (start >= end) return;
  const std::vector<bool> own = unwritten_pages(start, (end - start) / page_bytes);
  for (size_t i = 0; i < own.size();) {
    size_t last = i;
    while (last < own.size() && own[last]) last++;
    if (last > i) madvise(reinterpret_cast<void*>(start + i * page_bytes), (last - i) * page_bytes, MADV_DONTNEED);
    i = last + 1;
  }
}

}  // namespace

void give_back_pages(const void* data, size_t bytes) {
  // The system maps as many pages around one that is read, and whole large pages where it may.
  constexpr uintptr_t around = 1 << 17;
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const std::lock_guard<std::mutex> lock(mutex);
  for (Region* region = regions; region != nullptr; region = region->next) {
    const uintptr_t from = region->start;
    if (from == 0 || begin < from || begin + bytes > from + region->bytes || region->lost_from != 0) continue;
    const uintptr_t start = (begin + page_bytes - 1) / page_bytes * page_bytes;
    const uintptr_t end = (begin + bytes) / page_bytes * page_bytes;
    if (start >= end) return;
    if (region->given_back.empty()) madvise(reinterpret_cast<void*>(from), region->bytes, MADV_NOHUGEPAGE);
    region->given_back.emplace_back(start, end);
    for (const auto& [first, last] : region->given_back)
      give_back(std::max(first, start - around), std::min(last, end + around));
    return;
  }
}
#else
void give_back_pages(const void*, size_t) {}
#endif

uint64_t truncated_reads() { return reads.load(std::memory_order_relaxed); }

void throw_truncated() {
  std::string paths;
  std::lock_guard<std::mutex> lock(mutex);
  for (Region* region = regions; region != nullptr; region = region->next) {
    const uintptr_t lost = region->lost_from;
    if (region->start == 0 || lost == 0) continue;
    if (empty_file >= 0) replace(lost, region->start + region->bytes, 0, empty_file);
    region->lost_from = 0;
    paths += (paths.empty() ? "" : ", ") + region->path;
  }
  throw FileError("the mapped file " + paths + " was truncated while it is in use");
}

}  // namespace tunesmith
