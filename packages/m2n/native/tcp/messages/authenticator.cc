#include "tcp/messages/authenticator.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

namespace megascale::m2n {
namespace {

constexpr int kControlGetTag = 0x10;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kPieceMax = std::size_t{1} << 30;  // Lengths are ints there.

// The functions of libcrypto that are used, found in this process.
struct Crypto {
  void* (*new_context)() = nullptr;
  void (*free_context)(void*) = nullptr;
  const void* (*cipher)() = nullptr;
  int (*init)(void*, const void*, void*, const unsigned char*, const unsigned char*, int) = nullptr;
  int (*update)(void*, unsigned char*, int*, const unsigned char*, int) = nullptr;
  int (*finish)(void*, unsigned char*, int*) = nullptr;
  int (*control)(void*, int, int, void*) = nullptr;
  const char* missing = nullptr;

  Crypto() {
    Find("EVP_CIPHER_CTX_new", &new_context);
    Find("EVP_CIPHER_CTX_free", &free_context);
    Find("EVP_aes_256_gcm", &cipher);
    Find("EVP_CipherInit_ex", &init);
    Find("EVP_CipherUpdate", &update);
    Find("EVP_CipherFinal_ex", &finish);
    Find("EVP_CIPHER_CTX_ctrl", &control);
  }

  template <class Function>
  void Find(const char* name, Function* function) {
    void* symbol = dlsym(RTLD_DEFAULT, name);
    std::memcpy(function, &symbol, sizeof(symbol));
    if (symbol == nullptr && missing == nullptr) missing = name;
  }
};

const Crypto& TheCrypto() {
  static const Crypto crypto;
  return crypto;
}

void MustSucceed(int result) {
  if (result != 1) throw std::runtime_error("OpenSSL refused to compute a message's tag");
}

}  // namespace

std::optional<const char*> AuthenticationIsMissing() {
  if (TheCrypto().missing == nullptr) return std::nullopt;
  return TheCrypto().missing;
}

Authenticator::Authenticator(const Key& key, std::uint64_t number)
    : context_(nullptr), number_(number) {
  const Crypto& crypto = TheCrypto();
  if (crypto.missing != nullptr) {
    throw std::runtime_error(std::string("this program does not export ") + crypto.missing +
                             " of OpenSSL 3, which authenticates messages");
  }
  context_ = crypto.new_context();
  if (context_ == nullptr) throw std::bad_alloc();
  if (crypto.init(context_, crypto.cipher(), nullptr, key.data(), nullptr, 1) != 1) {
    crypto.free_context(context_);
    throw std::runtime_error("OpenSSL does not know AES-256-GCM");
  }
}

Authenticator::~Authenticator() { TheCrypto().free_context(context_); }

Tag Authenticator::Next(const MessageParts& message) {
  const Crypto& crypto = TheCrypto();
  std::array<unsigned char, kNonceBytes> nonce{};
  std::memcpy(nonce.data() + kNonceBytes - sizeof(number_), &number_, sizeof(number_));
  ++number_;
  MustSucceed(crypto.init(context_, nullptr, nullptr, nullptr, nonce.data(), 1));
  int written = 0;
  message.ForEachBeforeTag([&](const void* data, std::size_t bytes) {
    const auto* from = static_cast<const unsigned char*>(data);
    while (bytes > 0) {
      const std::size_t piece = std::min(bytes, kPieceMax);
      MustSucceed(crypto.update(context_, nullptr, &written, from, static_cast<int>(piece)));
      from += piece;
      bytes -= piece;
    }
  });
  Tag tag{};
  MustSucceed(crypto.finish(context_, tag.data(), &written));
  MustSucceed(crypto.control(context_, kControlGetTag, static_cast<int>(kTagBytes), tag.data()));
  return tag;
}

bool AreEqual(const Tag& a, const Tag& b) {
  unsigned char difference = 0;
  for (std::size_t byte = 0; byte < a.size(); ++byte) difference |= a[byte] ^ b[byte];
  return difference == 0;
}

}  // namespace megascale::m2n
