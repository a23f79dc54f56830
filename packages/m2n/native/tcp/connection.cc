#if defined(__linux__)

#include "tcp/connection.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace megascale::m2n {
namespace {

std::string TextOfErrno() { return std::generic_category().message(errno); }

bool IsOnlyForNow(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ENOBUFS;
}

}  // namespace

void Connection::Open(FileDescriptor socket) {
  socket_ = std::move(socket);
  BeginReceiving();
}

void Connection::Authenticate(const Key& sent, const Key& received, std::uint64_t first_received) {
  sent_authenticator_.emplace(sent);
  received_authenticator_.emplace(received, first_received);
}

void Connection::BeginReceiving() {
  in_.Clear();
  in_.Add(in_head_.data(), kHeadBytes);
  in_is_whole_ = false;
}

Connection::Result Connection::Fail(Result result, std::string why) {
  why_ = std::move(why);
  return result;
}

Connection::Result Connection::ContinueMessage() {
  while (in_.Done()) {
    // A refusal comes from one who may not know the key.
    const bool has_tag =
        received_authenticator_ && in_head_[HeadWord::kKind] != MessageKind::kRefusal;
    if (!in_is_whole_) {
      const auto arrival = handler_->PartsArrived(in_head_, &in_);
      if (arrival == MessageHandler::Arrival::kInvalid) {
        return Fail(Result::kInvalid, "it sent a message that cannot be true");
      }
      if (arrival == MessageHandler::Arrival::kMore) continue;
      in_is_whole_ = true;
      if (has_tag) in_.AddTag(in_tag_.data(), kTagBytes);
      continue;
    }
    if (has_tag && !AreEqual(in_tag_, received_authenticator_->Next(in_))) {
      return Fail(Result::kInvalid, "it sent a message whose tag is wrong");
    }
    if (!handler_->MessageArrived(in_head_)) {
      return Fail(Result::kInvalid, "it sent a message out of turn");
    }
    BeginReceiving();
    return Result::kProgress;
  }
  return Result::kIdle;
}

Connection::Result Connection::HandleStaged() {
  Result result = Result::kIdle;
  while (staged_begin_ < staged_end_ || in_.Done()) {
    // At the start of a message.
    if (in_.left() == kHeadBytes && !handler_->MayReceive()) {
      is_paused_ = true;
      return result;
    }
    staged_begin_ += in_.CopyIn(staging_.data() + staged_begin_, staged_end_ - staged_begin_);
    const Result step = ContinueMessage();
    if (step == Result::kInvalid) return step;
    if (step == Result::kProgress) result = step;
    if (!IsOpen()) return result;
  }
  return result;
}

Connection::Result Connection::Receive(bool* heard) {
  is_paused_ = false;
  for (;;) {
    const Result handled = HandleStaged();
    if (handled != Result::kIdle || is_paused_ || !IsOpen()) return handled;
    if (in_.left() == kHeadBytes && !handler_->MayReceive()) {
      is_paused_ = true;
      return Result::kIdle;
    }
    std::array<iovec, kPiecesMax + 1> pieces;
    std::size_t wanted = 0;
    int count = in_.Next(pieces.data(), kPiecesMax, &wanted);
    staged_begin_ = staged_end_ = 0;
    if (wanted == in_.left()) {
      pieces[static_cast<std::size_t>(count++)] = {.iov_base = staging_.data(),
                                                   .iov_len = kStagingBytes};
    }
    const ssize_t got = readv(socket_.get(), pieces.data(), count);
    if (got < 0 && IsOnlyForNow(errno)) return Result::kIdle;
    if (got < 0) return Fail(Result::kEnded, "its connection broke: " + TextOfErrno());
    if (got == 0) return Fail(Result::kEnded, "its connection ended without a word");
    *heard = true;
    const auto bytes = static_cast<std::size_t>(got);
    in_.Advance(std::min(bytes, wanted));
    staged_end_ = bytes - std::min(bytes, wanted);
  }
}

bool Connection::BeginSending() {
  out_.Clear();
  out_.Add(out_head_.data(), kHeadBytes);
  if (!handler_->NextMessage(&out_head_, &out_)) return false;
  if (sent_authenticator_) {
    out_tag_ = sent_authenticator_->Next(out_);
    out_.AddTag(out_tag_.data(), kTagBytes);
  }
  is_sending_ = true;
  return true;
}

Connection::Result Connection::Send() {
  send_is_blocked_ = false;
  for (;;) {
    if (!is_sending_ && !BeginSending()) return Result::kIdle;
    std::array<iovec, kPiecesMax> pieces;
    std::size_t offered = 0;
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = static_cast<std::size_t>(out_.Next(pieces.data(), kPiecesMax, &offered));
    const ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && IsOnlyForNow(errno)) {
      send_is_blocked_ = true;
      return Result::kIdle;
    }
    if (sent < 0) return Fail(Result::kEnded, "its connection broke: " + TextOfErrno());
    out_.Advance(static_cast<std::size_t>(sent));
    if (!out_.Done()) continue;
    is_sending_ = false;
    handler_->MessageSent();
  }
}

Connection::Result Connection::Drain() {
  for (int reads = 0; reads < 64; ++reads) {
    const ssize_t got = recv(socket_.get(), staging_.data(), staging_.size(), MSG_DONTWAIT);
    if (got < 0 && IsOnlyForNow(errno)) return Result::kIdle;
    if (got <= 0) return Result::kEnded;
  }
  return Result::kIdle;
}

void Connection::EndSending() { shutdown(socket_.get(), SHUT_WR); }

}  // namespace megascale::m2n

#endif  // __linux__
