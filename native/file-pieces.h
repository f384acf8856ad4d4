// The bytes of a file as pieces, made by several threads and read in their order by one or two: headers, and tensors as
// they are or in another type. Independent of file formats.
#pragma once
#include <ATen/core/Tensor.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/row-types.h"

namespace tunesmith {

// A tensor, as it is or with rows in another type.
struct FilePart {
  at::Tensor tensor;
  const RowFormat* format = nullptr;  // null: as it is
  at::Tensor columns;                 // float32: importance of columns, or scales of int8 by column or by row
  bool finite = false;                // refuse NaN and infinity
};

// NaN or infinity where a part may have none.
struct NotFinite {
  int64_t part;
};

// Another thread has failed and its error is the one to report.
struct Stopped {};

class FilePieces {
 public:
  // Stops when *cancel is not 0.
  FilePieces(std::string header, std::vector<FilePart> parts, const uint8_t* cancel);

  size_t bytes() const { return bytes_; }

  // take(data, bytes) for all pieces in the order of the file, on the calling thread; each of `readers` threads calls
  // it.
  template <typename Take> void walk(Take&& take) {
    for (size_t i = 0; i < pieces_.size(); i++) {
      const Made& made = wait(i);
      take(made.data, made.bytes);
      release(i);
    }
  }

  // Makes pieces until all are made. As many threads as `makers` call it while others walk.
  void make();
  int makers() const { return makers_; }
  void set_readers(int readers) { readers_ = readers; }

  // Stores the first error and stops all threads.
  void stop(std::exception_ptr error);
  std::exception_ptr error() const { return error_; }

 private:
  struct Piece {
    int64_t part, first, count;  // rows; bytes of what is read in place; part -1: the header
  };
  struct Made {
    const char* data = nullptr;
    size_t bytes = 0;
    std::unique_ptr<char[]> own;
    bool ready = false;
    int readers = 0;
  };

  static constexpr size_t window = 12;  // pieces that are made and not yet read by all

  std::string header_;
  std::vector<FilePart> parts_;
  const volatile uint8_t* cancel_;
  std::vector<at::Tensor> copies_;  // of parts in other memory
  std::vector<int64_t> unread_;     // pieces of a part that are not yet read
  // Scales of int4 that an earlier part of the same matrix computes: which part that is (-1: none), the scales, and how
  // many of its pieces have none yet.
  std::vector<int64_t> scales_from_;
  std::vector<std::unique_ptr<float[]>> kept_scales_;
  std::vector<int64_t> without_scales_;
  std::vector<std::unique_ptr<std::mutex>> copying_;
  std::vector<Piece> pieces_;
  Made made_[window];
  size_t bytes_ = 0, next_ = 0, read_by_all_ = 0;
  int makers_ = 1, readers_ = 1;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::exception_ptr error_;
  std::atomic<bool> stopped_{false};

  const Made& wait(size_t piece);
  void release(size_t piece);
  const at::Tensor& in_memory(int64_t part);
  Made make_piece(const Piece& piece);
  Made encode(const Piece& piece, const at::Tensor& tensor);
  // The scales of rows whose matrix was read for its integers.
  Made kept_scales(const Piece& piece);
  float* scales_of(int64_t part, int64_t row);
  bool is_without_scales(int64_t part);
};

}  // namespace tunesmith
