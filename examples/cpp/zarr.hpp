// zarrs_c for C++20: handles that release themselves, errors as exceptions, reads as futures or to be co_awaited.
#pragma once

#include <coroutine>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "zarrs_c.h"

namespace zarr {

struct Error : std::runtime_error {
  zrc_status status;
  Error(zrc_status status, const std::string &message) : std::runtime_error(message), status(status) {}
};

// Throws unless `status` is ZRC_OK; frees `error`.
inline void check(zrc_status status, zrc_error *error) {
  if (status == ZRC_OK) return;
  zrc_str text = zrc_error_message(error);
  std::string message = text.len ? std::string(text.ptr, text.len) : zrc_status_name(status);
  zrc_error_free(error);
  throw Error(status, message);
}

template <auto release>
struct Release {
  template <class T>
  void operator()(T *handle) const { release(handle); }
};
// Waits for what is under way, callbacks included.
inline void end(zrc_runtime *runtime) {
  zrc_runtime_shutdown(runtime, UINT32_MAX);
  zrc_runtime_release(runtime);
}
using Runtime = std::unique_ptr<zrc_runtime, Release<end>>;
using Store = std::unique_ptr<zrc_store, Release<zrc_store_release>>;
using Array = std::unique_ptr<zrc_array, Release<zrc_array_release>>;

inline Runtime runtime() {
  zrc_runtime *made = nullptr;
  zrc_error *error = nullptr;
  zrc_status status = zrc_runtime_new(nullptr, &made, &error);
  check(status, error);
  return Runtime(made);
}

inline Store open_store(const Runtime &runtime, const std::string &url) {
  zrc_store *made = nullptr;
  zrc_error *error = nullptr;
  zrc_status status = zrc_store_open(runtime.get(), url.c_str(), nullptr, &made, &error);
  check(status, error);
  return Store(made);
}

inline Array open_array(const Store &store, const std::string &path) {
  zrc_array *made = nullptr;
  zrc_error *error = nullptr;
  zrc_status status = zrc_array_open(store.get(), path.c_str(), nullptr, &made, &error);
  check(status, error);
  return Array(made);
}

inline std::vector<uint64_t> shape(const Array &array) {
  std::vector<uint64_t> shape(zrc_array_ndim(array.get()));
  check(zrc_array_shape(array.get(), shape.data(), shape.size()), nullptr);
  return shape;
}

// A box of elements, and the memory for them, which must live until the read is done.
template <class T>
struct Box {
  const Array &array;
  std::vector<uint64_t> start, shape;
  std::vector<T> &data;

  zrc_region region() const {
    return {array.get(), start.data(), shape.data(), nullptr, data.data(), data.size() * sizeof(T), nullptr};
  }
};

// The read as a future.
template <class T>
std::future<void> read(const Runtime &runtime, const Box<T> &box) {
  auto promise = std::make_unique<std::promise<void>>();
  auto future = promise->get_future();
  zrc_sink sink = {[](void *ctx, const zrc_completion *done) {
                     std::unique_ptr<std::promise<void>> promise(static_cast<std::promise<void> *>(ctx));
                     try {
                       check(done->status, done->error);
                       promise->set_value();
                     } catch (...) {
                       promise->set_exception(std::current_exception());
                     }
                   },
                   promise.get(), 0};
  zrc_region region = box.region();
  zrc_error *error = nullptr;
  zrc_status status = zrc_read_async(runtime.get(), &region, 1, nullptr, &sink, nullptr, &error);
  check(status, error);
  promise.release(); // the callback's from here on
  return future;
}

// The same, to be co_awaited. The coroutine goes on on a thread of the library: it must not block there.
template <class T>
struct Read {
  const Runtime &runtime;
  const Box<T> &box;
  zrc_status status = ZRC_OK;
  zrc_error *error = nullptr;
  std::coroutine_handle<> waiting{};

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    waiting = handle;
    zrc_region region = box.region();
    zrc_sink sink = {[](void *ctx, const zrc_completion *done) {
                       auto *self = static_cast<Read *>(ctx);
                       self->status = done->status;
                       self->error = done->error;
                       self->waiting.resume();
                     },
                     this, 0};
    zrc_error *refused = nullptr;
    // When it is submitted, `this` may be gone before the call has returned.
    zrc_status submitted = zrc_read_async(runtime.get(), &region, 1, nullptr, &sink, nullptr, &refused);
    check(submitted, refused);
  }
  void await_resume() { check(status, error); }
};

} // namespace zarr
