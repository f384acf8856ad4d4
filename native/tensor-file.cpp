// Writes a header and the bytes of tensors to a new file, and computes its SHA-256. Two threads read the tensors: one
// hashes, one writes with direct I/O, so nothing is read back. Independent of file formats; the caller calls fsync.
#include "binding.h"
#include "sha256.h"

#include <ATen/core/grad_mode.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

namespace tunesmith {
namespace {

constexpr size_t block_bytes = size_t{8} << 20;    // written at a time
constexpr size_t alignment = 4096;                 // of address, offset and length for direct I/O
constexpr size_t piece_bytes = size_t{256} << 10;  // hashed or copied at a time
constexpr int max_copies = 2;                      // copies of tensors that are not row-major, at a time

struct SystemFault {
  int number;
  const char* call;
};

// The other thread has failed and its error is the one to report.
struct Stopped {};

// The data that both threads read. A tensor that is not row-major is copied by the first thread that reaches it, and
// the copy is freed by the second.
class Sources {
 public:
  Sources(std::string header, std::vector<at::Tensor> tensors) : header_(std::move(header)), parts_(tensors.size()) {
    bytes_ = header_.size();
    for (size_t i = 0; i < tensors.size(); i++) {
      bytes_ += tensors[i].nbytes();
      parts_[i].tensor = std::move(tensors[i]);
    }
  }

  size_t bytes() const { return bytes_; }

  // take(data, bytes) in the order of the file
  template <typename Take> void walk(Take&& take) {
    take(header_.data(), header_.size());
    for (Part& part : parts_) {
      const size_t bytes = part.tensor.nbytes();
      if (bytes == 0) continue;
      const char* data = static_cast<const char*>(open(part));
      for (size_t at = 0; at < bytes; at += piece_bytes) {
        if (stopped_) throw Stopped();
        take(data + at, std::min(piece_bytes, bytes - at));
      }
      close(part);
    }
  }

  // Stores the first error and stops both threads.
  void stop(std::exception_ptr error) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (error_ == nullptr) error_ = std::move(error);
    stopped_ = true;
    changed_.notify_all();
  }

  std::exception_ptr error() const { return error_; }

 private:
  struct Part {
    at::Tensor tensor, copy;
    bool making = false;
    int walks = 2;
  };

  std::string header_;
  std::vector<Part> parts_;
  size_t bytes_;
  std::mutex mutex_;  // guards what follows and the parts' copies
  std::condition_variable changed_;
  int copies_ = 0;
  std::exception_ptr error_;
  std::atomic<bool> stopped_{false};

  static bool is_row_major(const at::Tensor& tensor) {
    return tensor.device().is_cpu() && tensor.is_contiguous() && !tensor.is_conj() && !tensor.is_neg();
  }

  const void* open(Part& part) {
    if (is_row_major(part.tensor)) return part.tensor.const_data_ptr();
    std::unique_lock<std::mutex> lock(mutex_);
    if (!part.making) {
      part.making = true;
      changed_.wait(lock, [&] { return copies_ < max_copies || stopped_; });
      if (stopped_) throw Stopped();
      copies_++;
      lock.unlock();
      at::Tensor copy = part.tensor.cpu().resolve_conj().resolve_neg().contiguous();
      lock.lock();
      part.copy = std::move(copy);
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return part.copy.defined() || stopped_; });
    if (!part.copy.defined()) throw Stopped();
    return part.copy.const_data_ptr();
  }

  void close(Part& part) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (--part.walks > 0 || !part.copy.defined()) return;
    part.copy.reset();
    copies_--;
    changed_.notify_all();
  }
};

// A new file that is written from front to back.
class NewFile {
 public:
  NewFile(const std::string& path, size_t bytes)
      : capacity_(std::min(block_bytes, (bytes / alignment + 1) * alignment)) {
    void* memory = nullptr;
    if (posix_memalign(&memory, alignment, capacity_) != 0) throw std::bad_alloc();
    buffer_.reset(static_cast<char*>(memory));
    do file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    while (file_ < 0 && errno == EINTR);
    if (file_ < 0) throw SystemFault{errno, "open"};
    try {
      reserve(bytes);
    } catch (...) {
      ::close(file_);
      throw;
    }
  }
  ~NewFile() {
    if (file_ >= 0) ::close(file_);
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void put(const char* data, size_t bytes) {
    while (bytes > 0) {
      const size_t taken = std::min(bytes, capacity_ - filled_);
      std::memcpy(buffer_.get() + filled_, data, taken);
      filled_ += taken;
      data += taken;
      bytes -= taken;
      if (filled_ == capacity_) flush();
    }
  }

  void finish() {
    flush();
    const int file = std::exchange(file_, -1);
    if (::close(file) != 0 && errno != EINTR) throw SystemFault{errno, "close"};
  }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };

  int file_ = -1;
  bool direct_ = false;
  size_t capacity_, filled_ = 0;
  std::unique_ptr<char, Free> buffer_;
  off_t at_ = 0;

  // Reserves the blocks of the file: a full disk is detected before anything is written, and the blocks are contiguous.
  void reserve(size_t bytes) {
#ifdef __linux__
    if (bytes == 0) return;
    int result;
    do result = fallocate(file_, 0, 0, static_cast<off_t>(bytes));
    while (result != 0 && errno == EINTR);
    if (result != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
      throw SystemFault{errno, "fallocate"};
    // Direct I/O gains little without reserved blocks.
    if (result == 0) set_direct(true);
#endif
  }

  // Direct I/O, where the file system supports it.
  void set_direct(bool wanted) {
    direct_ = false;
#ifdef __linux__
    const int flags = fcntl(file_, F_GETFL);
    direct_ = flags >= 0 && fcntl(file_, F_SETFL, wanted ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 && wanted;
#endif
  }

  void flush() {
    size_t done = 0;
    while (done < filled_) {
      const size_t blocks = (filled_ - done) / alignment * alignment;
      // The last bytes of the file are not a whole block, and after a partial write nothing is aligned.
      if (direct_ && (blocks == 0 || done % alignment != 0)) set_direct(false);
      const ssize_t written = pwrite(file_, buffer_.get() + done, direct_ ? blocks : filled_ - done, at_);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0 && errno == EINVAL && direct_) {
        set_direct(false);
        continue;
      }
      if (written < 0) throw SystemFault{errno, "write"};
      if (written == 0) throw SystemFault{EIO, "write"};
#ifdef __linux__
      // Starts writing to the disk now, so that little is left for the caller's fsync.
      if (!direct_) sync_file_range(file_, at_, written, SYNC_FILE_RANGE_WRITE);
#endif
      done += static_cast<size_t>(written);
      at_ += written;
    }
    filled_ = 0;
  }
};

struct Work {
  std::string path;
  std::unique_ptr<Sources> sources;
  std::string sha256;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;

  void run() {
    const auto noting = [this](auto&& body) {
      try {
        at::NoGradGuard noGrad;
        body();
      } catch (...) {
        sources->stop(std::current_exception());
      }
    };
    const uint64_t before = truncated_reads();
    noting([&] {
      std::thread writer([&] {
        noting([&] {
          NewFile file(path, sources->bytes());
          sources->walk([&](const char* data, size_t bytes) { file.put(data, bytes); });
          file.finish();
        });
      });
      noting([&] {
        Sha256 hash;
        sources->walk([&](const char* data, size_t bytes) { hash.update(data, bytes); });
        sha256 = hash.finish();
      });
      writer.join();
      if (truncated_reads() != before) throw_truncated();
    });
  }

  // Rejects the promise with the error; an error of the system has `errno` and `syscall`.
  void settle(napi_env env) {
    napi_value value = nullptr;
    const std::exception_ptr error = sources->error();
    if (error == nullptr) {
      napi_resolve_deferred(env, deferred, make_string(env, sha256));
      return;
    }
    guarded(env, [&]() -> napi_value {
      try {
        std::rethrow_exception(error);
      } catch (const SystemFault& fault) {
        check(env, napi_create_error(env, nullptr, make_string(env, std::strerror(fault.number)), &value), "an error");
        set_field(env, value, "errno", make_number(env, fault.number));
        set_field(env, value, "syscall", make_string(env, fault.call));
        napi_throw(env, value);
        throw PendingException();
      }
    });
    napi_get_and_clear_last_exception(env, &value);
    napi_reject_deferred(env, deferred, value);
  }
};

// writeTensors(path, header, handles) -> promise of the SHA-256 of the new file. The tensors must stay as they are
// until it settles.
TUNESMITH_FUNCTION(write_tensors) {
  return guarded(env, [&] {
    Arguments a(env, info);
    auto work = std::make_unique<Work>();
    work->path = read_string(env, a[0], "path");
    napi_typedarray_type type;
    size_t length;
    void* data;
    if (napi_get_typedarray_info(env, a[1], &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_uint8_array)
      throw ArgumentError("expected a Uint8Array");
    std::vector<at::Tensor> tensors = read_tensors(env, a[2], "tensors");
    for (at::Tensor& tensor : tensors) tensor = tensor.detach();
    work->sources = std::make_unique<Sources>(std::string(static_cast<const char*>(data), length), std::move(tensors));
    napi_value promise;
    check(env, napi_create_promise(env, &work->deferred, &promise), "a promise");
    check(env,
          napi_create_async_work(
              env, nullptr, make_string(env, "tunesmith:writeTensors"),
              [](napi_env, void* self) { static_cast<Work*>(self)->run(); },
              [](napi_env env, napi_status, void* self) {
                std::unique_ptr<Work> work(static_cast<Work*>(self));
                work->settle(env);
                napi_delete_async_work(env, work->work);
              },
              work.get(), &work->work),
          "a task");
    check(env, napi_queue_async_work(env, work->work), "a task");
    work.release();
    return promise;
  });
}

}  // namespace

std::vector<Export> tensor_file_exports() { return {{"writeTensors", write_tensors}}; }

}  // namespace tunesmith
