// Maps files. The system answers a read beyond the end of a file that was truncated meanwhile with SIGBUS, which would
// end the process; the handler here puts zeros in the place of the missing pages and counts, so that the call becomes
// an error instead.
#include "mapped-files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace tunesmith {
namespace {

// A mapping as the signal handler sees it. Regions are reused and never freed, so the handler may walk the list at any
// time.
struct Region {
  std::atomic<uintptr_t> start{0};  // 0 while unused
  std::atomic<size_t> bytes{0};
  std::atomic<uintptr_t> lost_from{0};  // address from which zeros replace the file, 0 for none
  std::string path;                     // guarded by the mutex
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
