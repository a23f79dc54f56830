#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "runtime/thread_pool.hpp"
#include "testing.hpp"

namespace megascale::testing {
namespace {

// Every thread writes its own element without a lock: fork and join must order these writes with
// the caller's reads.
void RequireEachThreadOnce(ThreadPool& pool) {
  std::vector<int> runs(static_cast<std::size_t>(pool.threads()), 0);
  pool.Run([&](int thread, int threads) {
    Require(threads == pool.threads(), "a job was told another number of threads");
    runs[static_cast<std::size_t>(thread)] += 1;
  });
  for (std::size_t thread = 0; thread < runs.size(); ++thread) {
    Require(runs[thread] == 1, "thread " + std::to_string(thread) + " of " +
                                   std::to_string(runs.size()) + " ran the job " +
                                   std::to_string(runs[thread]) + " times");
  }
}

const Test fork{"every thread runs a job once, on 1 to 16 threads", [](Random&) {
                  for (int threads = 1; threads <= 16; ++threads) {
                    ThreadPool pool(threads);
                    for (int job = 0; job < 20; ++job) RequireEachThreadOnce(pool);
                  }
                }};

const Test tiny{"thousands of tiny jobs follow each other", [](Random&) {
                  ThreadPool pool(3);
                  std::size_t jobs = 0;
                  std::vector<std::size_t> seen(3, 0);
                  for (; jobs < 3000; ++jobs) {
                    pool.Run([&](int thread, int) { ++seen[static_cast<std::size_t>(thread)]; });
                  }
                  for (const std::size_t count : seen) Require(count == jobs, "a job was missed");
                }};

const Test parked{"threads that went to sleep come back", [](Random&) {
                    ThreadPool pool(4);
                    for (int job = 0; job < 20; ++job) {
                      RequireEachThreadOnce(pool);
                      // Far longer than a worker spins.
                      std::this_thread::sleep_for(std::chrono::milliseconds(2));
                    }
                  }};

const Test bound{"bound pools that share cores run every job, and wake up after a pause",
                 [](Random&) {
                   const std::vector<int> cores{0, 1, 1};
                   // The caller of a bound pool is bound too: not the thread that runs the tests.
                   std::thread caller([&] {
                     ThreadPool pool(3, cores);
                     ThreadPool other(3, cores);
                     for (int job = 0; job < 300; ++job) {
                       RequireEachThreadOnce(pool);
                       RequireEachThreadOnce(other);
                       if (job % 100 == 0) {
                         std::this_thread::sleep_for(std::chrono::milliseconds(2));
                       }
                     }
                   });
                   caller.join();
                 }};

const Test uneven{"the join waits for the slowest thread", [](Random&) {
                    ThreadPool pool(4);
                    for (int slow = 0; slow < 4; ++slow) {
                      std::vector<int> done(4, 0);
                      pool.Run([&](int thread, int) {
                        if (thread == slow) {
                          std::this_thread::sleep_for(std::chrono::milliseconds(5));
                        }
                        done[static_cast<std::size_t>(thread)] = 1;
                      });
                      for (const int thread : done) Require(thread == 1, "Run came back too early");
                    }
                  }};

const Test lifetimes{"pools come and go, with and without work", [](Random& random) {
                       for (int i = 0; i < 200; ++i) {
                         ThreadPool pool(static_cast<int>(random.Between(1, 8)));
                         for (std::size_t jobs = random.Below(3); jobs > 0; --jobs) {
                           RequireEachThreadOnce(pool);
                         }
                       }
                     }};

const Test several{"pools work beside each other", [](Random&) {
                     std::vector<std::thread> owners;
                     std::atomic<int> failures{0};
                     for (int owner = 0; owner < 4; ++owner) {
                       owners.emplace_back([&] {
                         ThreadPool pool(3);
                         for (int job = 0; job < 200; ++job) {
                           std::vector<int> runs(3, 0);
                           pool.Run([&](int t, int) { runs[static_cast<std::size_t>(t)] += 1; });
                           for (const int count : runs) failures += count == 1 ? 0 : 1;
                         }
                       });
                     }
                     for (std::thread& owner : owners) owner.join();
                     Require(failures == 0, "a pool ran a job of its own not once per thread");
                   }};

const Test shares{"For visits every index once, however the work is cut", 100, [](Random& random) {
                    ThreadPool pool(static_cast<int>(random.Between(1, 5)));
                    const std::size_t counts[] = {0, 1, 2, 3, 7, 100, 4096};
                    const std::size_t costs[] = {1, 1000, 100000, 100000000};
                    const std::size_t count = random.OneOf(counts), cost = random.OneOf(costs);
                    std::vector<int> visits(count, 0);
                    pool.For(count, cost, [&](std::size_t begin, std::size_t end, int thread) {
                      Require(thread >= 0 && thread < pool.threads(), "no such thread");
                      for (std::size_t i = begin; i < end; ++i) ++visits[i];
                    });
                    for (const int visit : visits) {
                      Require(visit == 1, "an index was visited " + std::to_string(visit) +
                                              " times of " + std::to_string(count) + " at cost " +
                                              std::to_string(cost));
                    }
                  }};

}  // namespace
}  // namespace megascale::testing
