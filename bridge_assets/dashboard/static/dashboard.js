// Shows the HTML that bridge_assets/dashboard/component.py renders (all text in it is escaped there), and sends what a reader
// clicks in it to Python: a link to another page of the dashboard, or an element with data-action.

// Once per browser tab: what Streamlit's own page lacks for a keyboard and a screen reader.
function preparePage() {
  if (window.bridgeAssetsPrepared) return;
  window.bridgeAssetsPrepared = true;
  document.documentElement.lang = "en";
  document.addEventListener("keydown", (event) => {
    const typing = /^(input|textarea|select)$/i.test(event.target.tagName || "") || event.target.isContentEditable;
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const search = document.querySelector('[data-testid="stTextInput"] input');
    if (search) {
      event.preventDefault();
      search.focus();
    }
  });
}

// A left click without a modifier key: anything else is left to the browser, so that a link opens in a new tab.
const isPlain = (event) =>
  event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;

// The id of the focused element, so that a button that was pressed keeps the focus when the page is drawn again.
const focusedId = (root) => (root.contains(document.activeElement) ? document.activeElement.id : "");

export default function ({ data, parentElement, setTriggerValue }) {
  preparePage();
  let root = parentElement.querySelector(":scope > .bridge-assets");
  if (!root) {
    root = document.createElement("div");
    root.className = "bridge-assets";
    parentElement.appendChild(root);
  }
  if (root.shown !== data.html) {
    const focused = focusedId(root);
    root.innerHTML = data.html;
    root.shown = data.html;
    if (focused) root.querySelector(`[id="${CSS.escape(focused)}"]`)?.focus();
  }
  root.onclick = (event) => {
    const found = event.target.closest("a[href], [data-action]");
    if (!found || !root.contains(found)) return;
    if (found.dataset.action) {
      event.preventDefault();
      setTriggerValue("event", JSON.stringify({ action: found.dataset.action, value: found.dataset.value }));
    } else if (isPlain(event) && found.dataset.page !== undefined) {
      event.preventDefault();
      setTriggerValue("event", JSON.stringify({ open: found.getAttribute("href") }));
    }
  };
}
