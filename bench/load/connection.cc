#include "bench/load/connection.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"

namespace quorate::load {
namespace {

constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHeaderBytes = 9;
constexpr size_t kMessageHeaderBytes = 5;
constexpr uint32_t kWindow = (1u << 31) - 1;
constexpr uint64_t kGiveBack = 1 << 28;
constexpr uint32_t kMaxFrame = 16384;

constexpr uint8_t kData = NGHTTP2_DATA;
constexpr uint8_t kHeaders = NGHTTP2_HEADERS;

// HPACK (RFC 7541): a literal that enters the dynamic table, under the name with that
// number in the static table.
void AppendIndexedLiteral(int name, absl::string_view value, std::string* out) {
  CHECK(value.size() < 127);
  out->push_back(static_cast<char>(0x40 | name));
  out->push_back(static_cast<char>(value.size()));
  out->append(value.data(), value.size());
}

// The first request's header block: four fields enter the dynamic table.
std::string FirstBlock(absl::string_view authority, absl::string_view path) {
  std::string block = "\x83\x86";  // :method POST, :scheme http
  AppendIndexedLiteral(4, path, &block);
  AppendIndexedLiteral(1, authority, &block);
  AppendIndexedLiteral(31, "application/grpc", &block);
  block.push_back(0x40);  // a new name
  block.append("\x02te\x08trailers", 12);
  return block;
}

// All later ones of the same path: six numbers.
constexpr absl::string_view kLaterBlock = "\x83\x86\xc1\xc0\xbf\xbe";

// Of another path: five, and a literal that stays out of the table.
std::string OtherBlock(absl::string_view path) {
  CHECK(path.size() < 127);
  std::string block = "\x83\x86\x04";
  block.push_back(static_cast<char>(path.size()));
  block.append(path.data(), path.size());
  block += "\xc0\xbf\xbe";
  return block;
}

}  // namespace

Connection::Connection(io::Loop* loop, io::Network* network, const std::string& address,
                       const Callbacks* callbacks)
    : loop_(loop), address_(address), callbacks_(callbacks), alive_(std::make_shared<bool>(true)) {
  CHECK_EQ(nghttp2_hd_inflate_new(&inflater_), 0);
  connecting_ =
      network->Connect(address, [this](absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
        OnConnected(std::move(stream));
      });
}

Connection::~Connection() {
  *alive_ = false;
  nghttp2_hd_inflate_del(inflater_);
}

void Connection::OnConnected(absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
  connecting_.reset();
  if (!stream.ok()) return Break(stream.status());
  stream_ = *std::move(stream);
  stream_->Start(this);
  out_.emplace(512);
  out_->Append(kPreface);
  // SETTINGS: no push, the largest stream window; then the largest connection window.
  AppendFrameHeader(12, NGHTTP2_SETTINGS, 0, 0);
  char settings[12] = {0, NGHTTP2_SETTINGS_ENABLE_PUSH,        0, 0, 0, 0,
                       0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE};
  StoreBe32(settings + 8, kWindow);
  out_->Append(absl::string_view(settings, sizeof(settings)));
  AppendFrameHeader(4, NGHTTP2_WINDOW_UPDATE, 0, 0);
  StoreBe32(out_->Grow(4), kWindow - 65535);
  ScheduleFlush();
}

// --- Output ---

void Connection::AppendFrameHeader(size_t size, uint8_t type, uint8_t flags, int32_t stream_id) {
  if (!out_.has_value()) out_.emplace(4096);
  char* const at = out_->Grow(kFrameHeaderBytes);
  StoreBe32(at, static_cast<uint32_t>(size << 8 | type));
  at[4] = static_cast<char>(flags);
  StoreBe32(at + 5, static_cast<uint32_t>(stream_id));
}

// The header block of a new stream, the last of calls_ by its number.
Connection::OpenCall* Connection::Begin(uint32_t client, absl::string_view path) {
  const int32_t id = next_stream_id_;
  next_stream_id_ += 2;
  OpenCall& call = calls_[id];
  call.client = client;
  call.send_window = peer_stream_window_;
  std::string made;
  absl::string_view block = kLaterBlock;
  if (first_path_.empty()) {
    first_path_ = std::string(path);
    block = made = FirstBlock(address_, path);
  } else if (path != first_path_) {
    block = made = OtherBlock(path);
  }
  AppendFrameHeader(block.size(), kHeaders, NGHTTP2_FLAG_END_HEADERS, id);
  out_->Append(block);
  return &call;
}

void Connection::Call(uint32_t client, absl::string_view path, absl::string_view message) {
  OpenCall* const call = Begin(client, path);
  AppendMessage(next_stream_id_ - 2, call, message);
  ScheduleFlush();
}

int32_t Connection::Open(uint32_t client, absl::string_view path) {
  Begin(client, path)->streams = true;
  ScheduleFlush();
  return next_stream_id_ - 2;
}

void Connection::Send(int32_t stream, absl::string_view message) {
  const auto found = calls_.find(stream);
  if (found == calls_.end()) return;
  AppendMessage(stream, &found->second, message);
  ScheduleFlush();
}

void Connection::AppendMessage(int32_t id, OpenCall* call, absl::string_view message) {
  char header[kMessageHeaderBytes] = {};
  StoreBe32(header + 1, static_cast<uint32_t>(message.size()));
  const absl::string_view prefix(header, sizeof(header));
  const size_t sent = call->rest.empty() ? AppendBody(id, call, prefix, message) : 0;
  if (sent == prefix.size() + message.size()) return;
  const size_t before = call->rest.size();
  call->rest.append(header, sizeof(header)).append(message.data(), message.size());
  call->rest.erase(before, sent);
  blocked_.insert(id);
}

// DATA frames of `prefix` and `message` as far as the windows reach; returns how many
// bytes of both left.
size_t Connection::AppendBody(int32_t id, OpenCall* call, absl::string_view prefix,
                              absl::string_view message) {
  const size_t size = prefix.size() + message.size();
  size_t sent = 0;
  while (sent < size) {
    const int64_t window = std::min(send_window_, call->send_window);
    if (window <= 0) break;
    const size_t n =
        std::min({size - sent, static_cast<size_t>(window), static_cast<size_t>(peer_max_frame_)});
    sent += n;
    send_window_ -= static_cast<int64_t>(n);
    call->send_window -= static_cast<int64_t>(n);
    const bool last = sent == size && !call->streams;
    AppendFrameHeader(n, kData, last ? NGHTTP2_FLAG_END_STREAM : 0, id);
    const size_t from_prefix = std::min(n, prefix.size());
    out_->Append(prefix.substr(0, from_prefix));
    prefix.remove_prefix(from_prefix);
    out_->Append(message.substr(0, n - from_prefix));
    message.remove_prefix(n - from_prefix);
  }
  return sent;
}

// The windows grew: sends more of the requests that wait for that, oldest first.
void Connection::SendBlocked() {
  for (auto it = blocked_.begin(); it != blocked_.end() && send_window_ > 0;) {
    const auto found = calls_.find(*it);
    if (found == calls_.end()) {
      it = blocked_.erase(it);
      continue;
    }
    OpenCall& call = found->second;
    call.rest.erase(0, AppendBody(*it, &call, call.rest, absl::string_view()));
    it = call.rest.empty() ? blocked_.erase(it) : std::next(it);
  }
  if (out_.has_value()) ScheduleFlush();
}

void Connection::ScheduleFlush() {
  if (std::exchange(flush_scheduled_, true)) return;
  loop_->Defer([this, alive = alive_] {
    if (*alive) Flush();
  });
}

void Connection::Flush() {
  flush_scheduled_ = false;
  if (stream_ == nullptr || !out_.has_value()) return;
  stream_->Write(std::move(*out_).Finish());
  out_.reset();
}

// --- Input ---

void Connection::OnData(absl::string_view data) {
  std::string joined;
  if (!input_.empty()) {
    joined = std::exchange(input_, std::string());
    joined.append(data.data(), data.size());
    data = joined;
  }
  const std::shared_ptr<bool> alive = alive_;
  while (data.size() >= kFrameHeaderBytes) {
    FrameHeader header;
    header.size = LoadBe32(data.data()) >> 8;
    header.type = static_cast<uint8_t>(data[3]);
    header.flags = static_cast<uint8_t>(data[4]);
    header.stream_id = static_cast<int32_t>(LoadBe32(data.data() + 5) & 0x7fffffff);
    if (header.size > kMaxFrame) return Break(absl::InternalError("frame too large"));
    if (data.size() < kFrameHeaderBytes + header.size) break;
    if (!OnFrame(header, data.substr(kFrameHeaderBytes, header.size)) || !*alive) return;
    data.remove_prefix(kFrameHeaderBytes + header.size);
  }
  input_.assign(data.data(), data.size());
  if (received_ >= kGiveBack) AppendWindowUpdate(0, std::exchange(received_, 0));
}

void Connection::AppendWindowUpdate(int32_t id, uint64_t bytes) {
  AppendFrameHeader(4, NGHTTP2_WINDOW_UPDATE, 0, id);
  StoreBe32(out_->Grow(4), static_cast<uint32_t>(bytes));
  ScheduleFlush();
}

bool Connection::OnFrame(const FrameHeader& header, absl::string_view payload) {
  switch (header.type) {
    case NGHTTP2_DATA:
      return OnDataFrame(header, payload);
    case NGHTTP2_HEADERS:
      return OnHeadersFrame(header, payload);
    case NGHTTP2_RST_STREAM:
      // After a complete answer it only says that the request is not needed any more.
      EndCall(header.stream_id);
      return !broken_;
    case NGHTTP2_SETTINGS:
      OnSettingsFrame(header, payload);
      return !broken_;
    case NGHTTP2_PING:
      if ((header.flags & NGHTTP2_FLAG_ACK) == 0) {
        AppendFrameHeader(payload.size(), NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0);
        out_->Append(payload);
        ScheduleFlush();
      }
      return true;
    case NGHTTP2_GOAWAY:
      Break(absl::UnavailableError("the server sent GOAWAY"));
      return false;
    case NGHTTP2_WINDOW_UPDATE:
      OnWindowUpdate(header, payload);
      return true;
    case NGHTTP2_CONTINUATION:
      Break(absl::UnimplementedError("header blocks of more than one frame"));
      return false;
    default:
      return true;
  }
}

bool Connection::OnDataFrame(const FrameHeader& header, absl::string_view payload) {
  received_ += payload.size();
  const auto found = calls_.find(header.stream_id);
  if (found == calls_.end()) return true;
  if (found->second.streams && !OnStreamData(header.stream_id, &found->second, payload)) {
    return false;
  }
  OpenCall& call = calls_.at(header.stream_id);
  if (call.body_bytes < sizeof(call.first)) {
    const size_t n = std::min(sizeof(call.first) - call.body_bytes, payload.size());
    std::memcpy(call.first + call.body_bytes, payload.data(), n);
  }
  call.body_bytes += static_cast<uint32_t>(payload.size());
  if ((header.flags & NGHTTP2_FLAG_END_STREAM) != 0) EndCall(header.stream_id);
  return !broken_;
}

bool Connection::OnStreamData(int32_t id, OpenCall* call, absl::string_view payload) {
  call->received += payload.size();
  if (call->received >= kGiveBack) AppendWindowUpdate(id, std::exchange(call->received, 0));
  std::string joined;
  if (!call->incomplete.empty()) {
    call->incomplete.append(payload.data(), payload.size());
    joined = std::move(call->incomplete);
    payload = joined;
  }
  const uint32_t client = call->client;
  const std::shared_ptr<bool> alive = alive_;
  while (payload.size() >= kMessageHeaderBytes) {
    const size_t size = LoadBe32(payload.data() + 1);
    if (payload.size() < kMessageHeaderBytes + size) break;
    callbacks_->on_message(this, client, payload.substr(kMessageHeaderBytes, size));
    if (!*alive || broken_) return false;
    payload.remove_prefix(kMessageHeaderBytes + size);
  }
  // What a callback began may have moved the calls.
  calls_.at(id).incomplete.assign(payload.data(), payload.size());
  return true;
}

bool Connection::OnHeadersFrame(const FrameHeader& header, absl::string_view payload) {
  if ((header.flags & NGHTTP2_FLAG_END_HEADERS) == 0) return true;  // CONTINUATION breaks
  if ((header.flags & (NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY)) != 0) {
    Break(absl::UnimplementedError("padded header blocks"));
    return false;
  }
  const auto found = calls_.find(header.stream_id);
  while (true) {
    nghttp2_nv nv;
    int flags = 0;
    const ssize_t taken =
        nghttp2_hd_inflate_hd2(inflater_, &nv, &flags,
                               reinterpret_cast<const uint8_t*>(payload.data()), payload.size(), 1);
    if (taken < 0) {
      Break(absl::InternalError("malformed header block"));
      return false;
    }
    payload.remove_prefix(static_cast<size_t>(taken));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && found != calls_.end()) {
      const absl::string_view name(reinterpret_cast<const char*>(nv.name), nv.namelen);
      const absl::string_view value(reinterpret_cast<const char*>(nv.value), nv.valuelen);
      if (name == "grpc-status") {
        if (!absl::SimpleAtoi(value, &found->second.grpc_status)) found->second.grpc_status = -1;
      } else if (name == ":status") {
        if (!absl::SimpleAtoi(value, &found->second.http_status)) found->second.http_status = 0;
      }
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && payload.empty()) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  if ((header.flags & NGHTTP2_FLAG_END_STREAM) != 0) EndCall(header.stream_id);
  return !broken_;
}

void Connection::OnSettingsFrame(const FrameHeader& header, absl::string_view payload) {
  if ((header.flags & NGHTTP2_FLAG_ACK) != 0) return;
  while (payload.size() >= 6) {
    const uint32_t id = static_cast<uint8_t>(payload[1]);
    const uint32_t value = LoadBe32(payload.data() + 2);
    if (id == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) {
      for (auto& [stream_id, call] : calls_) call.send_window += value - peer_stream_window_;
      peer_stream_window_ = value;
    }
    if (id == NGHTTP2_SETTINGS_MAX_FRAME_SIZE) peer_max_frame_ = value;
    payload.remove_prefix(6);
  }
  AppendFrameHeader(0, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0);
  ScheduleFlush();
  SendBlocked();
  if (std::exchange(ready_, true)) return;
  callbacks_->on_ready(this);
}

void Connection::OnWindowUpdate(const FrameHeader& header, absl::string_view payload) {
  if (payload.size() < 4) return;
  const uint32_t more = LoadBe32(payload.data()) & 0x7fffffff;
  if (header.stream_id == 0) {
    send_window_ += more;
  } else if (const auto found = calls_.find(header.stream_id); found != calls_.end()) {
    found->second.send_window += more;
  }
  if (!blocked_.empty()) SendBlocked();
}

int Connection::Judge(const OpenCall& call) {
  if (call.http_status != 200) return -1;
  if (call.grpc_status != 0) return call.grpc_status;
  // One uncompressed message that begins with its response header (field 1).
  const bool whole = call.body_bytes >= sizeof(call.first) && call.first[0] == 0 &&
                     LoadBe32(call.first + 1) + kMessageHeaderBytes == call.body_bytes;
  return whole && call.first[5] == 0x0a ? 0 : -2;
}

void Connection::EndCall(int32_t stream_id) {
  const auto found = calls_.find(stream_id);
  if (found == calls_.end()) return;
  const CallResult result{found->second.client, Judge(found->second)};
  calls_.erase(found);
  callbacks_->on_result(this, result);
}

void Connection::OnClose(const absl::Status& status) {
  Break(status.ok() ? absl::UnavailableError("closed by the server") : status);
}

void Connection::Break(const absl::Status& status) {
  if (std::exchange(broken_, true)) return;
  ready_ = false;
  stream_.reset();
  std::vector<uint32_t> lost;
  for (const auto& [id, call] : calls_) lost.push_back(call.client);
  calls_.clear();
  blocked_.clear();
  const std::shared_ptr<bool> alive = alive_;
  callbacks_->on_lost(this, status);
  for (const uint32_t client : lost) {
    if (*alive) callbacks_->on_result(this, CallResult{client, -1});
  }
}

}  // namespace quorate::load
