// Writes a header and tensors to a new file, and computes its SHA-256. Some threads make the bytes, one hashes them,
// one writes them with direct I/O, so nothing is read back. Independent of file formats; the caller calls fsync.
#include "binding.h"
#include "file-pieces.h"
#include "sha256.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

namespace tunesmith {
namespace {

constexpr size_t block_bytes = size_t{8} << 20;  // written at a time
constexpr size_t alignment = 4096;               // of address, offset and length for direct I/O

struct SystemFault {
  int number;
  const char* call;
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
  std::unique_ptr<FilePieces> pieces;
  bool hashed = true;
  std::string sha256;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
  napi_ref cancel = nullptr;

  // Runs `body`, and stops all threads where it fails.
  template <typename Body> void noting(Body&& body) {
    try {
      body();
    } catch (...) {
      pieces->stop(std::current_exception());
    }
  }

  void write() {
    NewFile file(path, pieces->bytes());
    pieces->walk([&](const char* data, size_t bytes) { file.put(data, bytes); });
    file.finish();
  }

  void hash() {
    Sha256 hash;
    pieces->walk([&](const char* data, size_t bytes) { hash.update(data, bytes); });
    sha256 = hash.finish();
  }

  void run() {
    const uint64_t before = truncated_reads();
    pieces->set_readers(hashed ? 2 : 1);
    std::vector<std::thread> threads;
    noting([&] {
      for (int i = 0; i < pieces->makers(); i++) threads.emplace_back([this] { noting([&] { pieces->make(); }); });
      if (hashed) threads.emplace_back([this] { noting([&] { hash(); }); });
      write();
    });
    for (std::thread& thread : threads) thread.join();
    noting([&] {
      if (truncated_reads() != before) throw_truncated();
    });
  }

  // Rejects the promise with the error; an error of the system has `errno` and `syscall`.
  void settle(napi_env env) {
    napi_value value = nullptr;
    const std::exception_ptr error = pieces->error();
    if (cancel != nullptr) napi_delete_reference(env, cancel);
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
      } catch (const NotFinite& fault) {
        check(env, napi_create_error(env, nullptr, make_string(env, "not finite"), &value), "an error");
        set_field(env, value, "notFinite", make_number(env, static_cast<double>(fault.part)));
        napi_throw(env, value);
        throw PendingException();
      } catch (const Stopped&) {
        throw ArgumentError("cancelled");
      }
    });
    napi_get_and_clear_last_exception(env, &value);
    napi_reject_deferred(env, deferred, value);
  }
};

std::pair<uint8_t*, size_t> read_bytes(napi_env env, napi_value value) {
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array)
    throw ArgumentError("expected a Uint8Array");
  return {static_cast<uint8_t*>(data), length};
}

FilePart read_part(napi_env env, napi_value list, uint32_t i) {
  napi_value item, value;
  check(env, napi_get_element(env, list, i, &item), "a part");
  const auto field = [&](uint32_t which) {
    check(env, napi_get_element(env, item, which, &value), "a part");
    return value;
  };
  FilePart part;
  part.tensor = read_tensor(env, field(0)).detach();
  if (!part.tensor.is_cpu()) part.tensor = part.tensor.cpu();
  const std::string format = read_string(env, field(1), "format");
  const bool has_columns = read_int(env, field(2), "columns") != 0;
  const at::Tensor columns = has_columns ? read_tensor(env, value) : at::Tensor();
  part.finite = read_bool(env, field(3), "finite");
  if (format.empty()) return part;
  TORCH_CHECK(part.tensor.scalar_type() == at::kFloat || part.tensor.scalar_type() == at::kHalf ||
                  part.tensor.scalar_type() == at::kBFloat16,
              "Expected float32, float16 or bfloat16 to write as ", format, ", got ", part.tensor.scalar_type(), ".");
  part.format = &row_format(format, "writeTensorFile");
  part.columns = expect_rows(*part.format, part.tensor.sizes(),
                             columns.defined() ? std::optional<at::Tensor>(columns) : std::nullopt, "writeTensorFile");
  return part;
}

// writeTensors(path, header, parts, hashed, cancel) -> promise of the SHA-256 of the new file, empty where it is not
// wanted. A part is [handle, format or '', handle of columns or 0, finite]. The tensors must stay as they are until it
// settles; writing ends with an error when `cancel[0]` is not 0.
TUNESMITH_FUNCTION(write_tensors) {
  return guarded(env, [&] {
    Arguments a(env, info);
    auto work = std::make_unique<Work>();
    work->path = read_string(env, a[0], "path");
    const auto [header, length] = read_bytes(env, a[1]);
    uint32_t count;
    check(env, napi_get_array_length(env, a[2], &count), "parts");
    std::vector<FilePart> parts;
    for (uint32_t i = 0; i < count; i++) parts.push_back(read_part(env, a[2], i));
    work->hashed = read_bool(env, a[3], "hashed");
    const uint8_t* cancel = read_bytes(env, a[4]).first;
    work->pieces = std::make_unique<FilePieces>(std::string(reinterpret_cast<const char*>(header), length),
                                                std::move(parts), cancel);
    check(env, napi_create_reference(env, a[4], 1, &work->cancel), "a reference");
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
