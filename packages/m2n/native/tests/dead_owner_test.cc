#if defined(MEGASCALE_HAS_LIBFABRIC)

#include "fabric/dead_owner.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "testing.hpp"

// Which files a survivor may remove.
namespace megascale::m2n::fabric {
namespace {

using testing::Random;
using testing::Require;
using testing::Test;

std::string PathOf(const std::string& file) { return std::string("/").append(file); }

bool Exists(const std::string& file) {
  const int descriptor = shm_open(file.c_str(), O_RDONLY, 0);
  if (descriptor >= 0) close(descriptor);
  return descriptor >= 0;
}

void Create(const std::string& file, const std::string& bytes = "") {
  const int descriptor = shm_open(file.c_str(), O_RDWR | O_CREAT, 0600);
  Require(descriptor >= 0, "shm_open");
  Require(write(descriptor, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
          "write");
  close(descriptor);
}

std::vector<std::uint8_t> NameOf(const std::string& file) {
  const std::string name = "fi_shm://" + file;
  return {name.begin(), name.end()};
}

// The head of a region as libfabric 1.17 lays it out.
std::string Head(std::uint8_t version, std::int32_t process, std::int32_t lock) {
  std::string bytes(64, '\7');
  bytes[0] = static_cast<char>(version);
  std::memcpy(bytes.data() + 4, &process, sizeof(process));
  std::memcpy(bytes.data() + 24, &lock, sizeof(lock));
  return bytes;
}

// What FreeLockOf makes of a file of this process.
std::string Freed(const std::string& bytes) {
  const std::string file = std::to_string(getpid()) + ":0:9";
  Create(PathOf(file), bytes);
  FreeLockOf(NameOf(file));
  std::string found(bytes.size(), '\0');
  const int descriptor = shm_open(PathOf(file).c_str(), O_RDONLY, 0);
  Require(read(descriptor, found.data(), found.size()) == static_cast<ssize_t>(found.size()),
          "read");
  close(descriptor);
  shm_unlink(PathOf(file).c_str());
  return found;
}

bool Remove(const std::string& name) {
  return RemoveMemoryOfDeadOwner(std::vector<std::uint8_t>(name.begin(), name.end()));
}

pid_t DeadProcess() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  Require(child > 0 && waitpid(child, nullptr, 0) == child, "fork");
  return child;
}

const Test removes_of_dead{"the memory of an endpoint whose process is gone is removed",
                           [](Random&) {
                             const std::string file = std::to_string(DeadProcess()) + ":0:1";
                             Create(PathOf(file));
                             Require(Remove("fi_shm://" + file + std::string(1, '\0')), file);
                             Require(!Exists(PathOf(file)), file);
                           }};

const Test removes_of_unnoticed{
    "so is that of a process whose parent has not taken note of its end", [](Random&) {
      const pid_t child = fork();
      if (child == 0) _exit(0);
      siginfo_t ended{};
      Require(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0, "waitid");
      const std::string file = std::to_string(child) + ":0:1";
      Create(PathOf(file));
      const bool nothing_left = Remove("fi_shm://" + file);
      Require(waitpid(child, nullptr, 0) == child, "waitpid");
      Require(nothing_left && !Exists(PathOf(file)), file);
    }};

const Test keeps_of_living{"that of a living process stays", [](Random&) {
                             const std::string file = std::to_string(getpid()) + ":0:1";
                             Create(PathOf(file));
                             Require(!Remove("fi_shm://" + file), file);
                             Require(Exists(PathOf(file)), file);
                             shm_unlink(PathOf(file).c_str());
                             Require(Remove("fi_shm://" + file), "nothing is left");
                           }};

const Test keeps_others{
    "names of another form remove nothing", [](Random&) {
      const std::string dead = std::to_string(DeadProcess());
      for (const std::string& file :
           {dead, dead + ":0", dead + ":0:1:2", dead + ":0:x", dead + ":-1:0"}) {
        Create(PathOf(file));
        Remove("fi_shm://" + file);
        Require(Exists(PathOf(file)), file);
        shm_unlink(PathOf(file).c_str());
      }
      for (const std::string& name : {std::string(), std::string("fi_shm://"), dead + ":0:1"})
        Remove(name);
    }};

const Test frees_lock{"a lock that is taken is freed, and nothing else is written", [](Random&) {
                        for (const std::int32_t lock : {1, 0, -1, -5}) {
                          const std::string bytes = Head(4, getpid(), lock);
                          Require(Freed(bytes) == Head(4, getpid(), 1), std::to_string(lock));
                        }
                      }};

const Test frees_no_other_lock{
    "memory of another layout, of another process or too short is left alone", [](Random&) {
      for (const std::string& bytes :
           {Head(3, getpid(), 0), Head(5, getpid(), 0), Head(4, getpid() + 1, 0), std::string(),
            Head(4, getpid(), 0).substr(0, 20)}) {
        Require(Freed(bytes) == bytes, std::to_string(bytes.size()));
      }
      FreeLockOf(NameOf("no such file"));
      FreeLockOf(NameOf(std::to_string(getpid()) + ":7:7"));
    }};

}  // namespace
}  // namespace megascale::m2n::fabric

#endif  // MEGASCALE_HAS_LIBFABRIC
