// The sum of a 2-d array of float32, twice: by a future, and in a coroutine that reads half after half.
#include <cstdio>
#include <numeric>
#include <semaphore>

#include "zarr.hpp"

static double sum(const std::vector<float> &data) { return std::accumulate(data.begin(), data.end(), 0.0); }

// A coroutine that nobody waits for; it says by a semaphore when it is done.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

static Detached add_up(const zarr::Runtime &runtime, const zarr::Array &array, double &total,
                       std::binary_semaphore &done) {
  auto shape = zarr::shape(array);
  uint64_t half = shape[0] / 2;
  for (auto [row, rows] : {std::pair{uint64_t{0}, half}, std::pair{half, shape[0] - half}}) {
    std::vector<float> data(rows * shape[1]);
    zarr::Box<float> box{array, {row, 0}, {rows, shape[1]}, data};
    co_await zarr::Read<float>{runtime, box};
    total += sum(data);
  }
  done.release();
}

int main(int argc, char **argv) try {
  if (argc != 2) return std::fprintf(stderr, "usage: %s URL\n", argv[0]), 2;
  auto runtime = zarr::runtime();
  auto store = zarr::open_store(runtime, argv[1]);
  auto array = zarr::open_array(store, "");
  auto shape = zarr::shape(array);

  std::vector<float> data(shape[0] * shape[1]);
  zarr::Box<float> whole{array, {0, 0}, shape, data};
  zarr::read(runtime, whole).get();

  double total = 0;
  std::binary_semaphore done(0);
  add_up(runtime, array, total, done);
  done.acquire();
  std::printf("%.1f %.1f\n", sum(data), total);
  return 0;
} catch (const zarr::Error &error) {
  return std::fprintf(stderr, "%s: %s\n", zrc_status_name(error.status), error.what()), 1;
}
