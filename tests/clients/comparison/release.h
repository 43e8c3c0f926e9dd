// What is not to be compared, or not to be asked, because the reference is an older etcd:
// where releases differ, Quorate is as 3.7 is.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_RELEASE_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_RELEASE_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace quorate::differential {

struct Release {
  // Ranges that leave out values leave the lease in (until 3.6).
  bool keys_only_has_lease = false;
  // HashKV knows nothing of what compactions hashed, refuses the compact revision itself,
  // and does not say which revision it hashed (until 3.5).
  bool hash_is_not_stored = false;
  // A progress request is answered whatever the watchers' state (until 3.5.7).
  bool progress_unconditionally = false;
  // A compaction removes a deletion at exactly its revision (until 3.5.15).
  bool compaction_forgets_deletion = false;
  // A transaction's puts are checked before its ranges: of two errors it tells another
  // one (until 3.5).
  bool checks_puts_first = false;
  // Watchers may start at negative revisions; not to be asked (until 3.5).
  bool takes_negative_start = false;
  // Tokens are looked at while authentication is off; there is no AuthStatus; of two
  // reasons to refuse an Auth request it tells another one. Not to be asked, but for the
  // last (until 3.5).
  bool has_early_auth = false;
  // Unknown sort orders and targets are not refused; not to be asked, since a transaction
  // that 3.7 refuses would change the store.
  bool takes_any_sort_option = false;
  // There is no RangeStream; not to be asked (until 3.6).
  bool has_no_range_stream = false;

  // By "major.minor", as in "3.4" or "3.7"; nullopt if that is not known.
  static std::optional<Release> Of(absl::string_view version) {
    if (version == "3.7") return Release();
    if (version == "3.6") return Release{.keys_only_has_lease = true, .has_no_range_stream = true};
    if (version == "3.4") {
      return Release{.keys_only_has_lease = true,
                     .hash_is_not_stored = true,
                     .progress_unconditionally = true,
                     .compaction_forgets_deletion = true,
                     .checks_puts_first = true,
                     .takes_negative_start = true,
                     .has_early_auth = true,
                     .takes_any_sort_option = true,
                     .has_no_range_stream = true};
    }
    return std::nullopt;
  }
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_RELEASE_H_
