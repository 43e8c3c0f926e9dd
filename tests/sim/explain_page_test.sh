#!/bin/bash
# A run explained as a page, opened in headless Chromium: it draws something, says nothing on the
# console, asks for nothing, and names what it shows.
set -euo pipefail
sim="$1"
screenshot="$2"
scratch="${TEST_UNDECLARED_OUTPUTS_DIR:-$(mktemp -d)}"

"$sim" replay --seed 7 --profile stale-messages --format html --out "$scratch/run.html"

# The same page with somebody at its controls, who writes down what comes of it.
cp "$scratch/run.html" "$scratch/used.html"
cat >>"$scratch/used.html" <<'END'
<script>
{
  const said = [];
  const say = (good, what) => said.push((good ? "works: " : "BROKEN: ") + what);
  const element = (id) => document.getElementById(id);
  diagram.view(0, diagram.data.end);
  const all = diagram.visible();
  say(all > 50, "drawing");
  element("show-messages").click();
  const hidden = diagram.visible();
  say(hidden < all, "hiding");
  element("show-messages").click();
  say(diagram.visible() === all, "showing again");
  element("filter").value = "no such text anywhere";
  element("filter").oninput();
  say(diagram.visible() < hidden, "filtering");
  element("filter").value = "";
  element("filter").oninput();
  const span = diagram.span();
  element("in").click();
  say(diagram.span() < span, "zooming");
  element("fit").click();
  const cause = diagram.data.messages.find((m) => m[5] === "append" && m[4] > 0);
  diagram.follow(cause);
  say(diagram.followed().size > 1 && !element("unfollow").hidden, "following");
  element("unfollow").click();
  say(diagram.followed() === null, "letting go");
  element("details").textContent = said.join("; ");
}
</script>
END
status=0
python3 "$screenshot" "$scratch/run.html" --out "$scratch" \
  --need "Seed 7: no rule is broken" --need "Everything that was checked held." \
  --need "show-messages" --need "stale-messages" || status=$?
if [ "$status" = 0 ]; then
  python3 "$screenshot" "$scratch/used.html" --out "$scratch" --need "works: drawing" \
    --need "works: hiding" --need "works: showing again" --need "works: filtering" \
    --need "works: zooming" --need "works: following" --need "works: letting go" || status=$?
fi
if [ "$status" = 77 ]; then
  echo "no Chromium here: the page was made but not looked at"
  exit 0
fi
exit "$status"
