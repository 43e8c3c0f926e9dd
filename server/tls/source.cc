#include "server/tls/source.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/limits.h"

namespace quorate::tls {
namespace {

// More than any certificate, key or bundle of them; a revocation list may be long.
constexpr size_t kMaxFileBytes = 16 * limits::kMiB;

}  // namespace

// What deferred callbacks hold. Without its Source it is only finished.
struct Source::Load {
  Source* source = nullptr;
  Material material;
  size_t pending = 1;  // files, and Begin itself
  absl::Status status;
};

Source::Source(const io::Env& env, log::Logger* log, Role role, config::TlsSettings settings,
               std::vector<std::string> alpn)
    : env_(env), log_(log), role_(role), settings_(std::move(settings)), alpn_(std::move(alpn)) {}

Source::~Source() {
  if (load_ != nullptr) load_->source = nullptr;
}

void Source::Get(Callback callback) {
  waiting_.push_back(std::move(callback));
  if (load_ == nullptr) Begin();
}

void Source::Begin() {
  served_by_load_ = std::exchange(waiting_, {});
  load_ = std::make_shared<Load>();
  load_->source = this;
  const Files files = FilesOf(role_, settings_);
  ReadFile(files.cert, &Material::cert, "cert-file");
  ReadFile(files.key, &Material::key, "key-file");
  ReadFile(files.ca, &Material::ca, "trusted-ca-file");
  const bool peer = !settings_.flag_prefix.empty();
  ReadFile(files.crl, &Material::crl, peer ? "crl-file" : "client-crl-file");
  // Even without files the answer comes later.
  env_.loop->Defer([load = load_] {
    if (load->source != nullptr) load->source->OnFile(load, absl::OkStatus());
  });
}

void Source::ReadFile(const std::string& path, std::string Material::*content,
                      absl::string_view flag) {
  if (path.empty()) return;
  ++load_->pending;
  const std::string what = absl::StrCat("--", settings_.flag_prefix, flag);
  const auto finish = [load = load_, what](const absl::Status& status) {
    if (load->source == nullptr) return;
    load->source->OnFile(
        load, status.ok() ? status
                          : absl::Status(status.code(), absl::StrCat("cannot read ", what, ": ",
                                                                     status.message())));
  };
  io::OpenOptions options;
  options.write = false;
  env_.disk->Open(path, options, [=, load = load_](auto opened) {
    if (!opened.ok()) return finish(opened.status());
    const std::shared_ptr<io::File> file = *std::move(opened);
    file->Read(0, kMaxFileBytes, [=](const absl::StatusOr<Bytes>& bytes) {
      if (bytes.ok()) load->material.*content = std::string(bytes->view());
      if (load->source == nullptr) return;
      // Later: `finish` lets go of the file, which this callback is one of.
      load->source->env_.loop->Defer([file, finish, status = bytes.status()] { finish(status); });
    });
  });
}

void Source::OnFile(const std::shared_ptr<Load>& load, const absl::Status& status) {
  if (load->status.ok()) load->status = status;
  if (--load->pending == 0) Finish(*load);
}

void Source::Finish(const Load& load) {
  const bool same = current_ != nullptr && load.material == material_;
  ContextOr result = !load.status.ok() ? ContextOr(load.status)
                     : same            ? ContextOr(current_)
                                       : Context::New(role_, settings_, load.material, alpn_);
  if (result.ok()) {
    current_ = *result;
    material_ = load.material;
    last_complaint_.clear();
  } else if (current_ != nullptr) {
    if (last_complaint_ != result.status().message()) {
      last_complaint_ = std::string(result.status().message());
      LOG_WARN(log_, "cannot use the TLS files as they are now; going on with those loaded before",
               {result.status()});
    }
    result = current_;
  }
  const std::shared_ptr<Load> done = std::exchange(load_, nullptr);
  const std::vector<Callback> callbacks = std::exchange(served_by_load_, {});
  if (!waiting_.empty()) Begin();
  for (const Callback& callback : callbacks) {
    callback(result);
    if (done->source == nullptr) return;  // destroyed by the callback
  }
}

}  // namespace quorate::tls
