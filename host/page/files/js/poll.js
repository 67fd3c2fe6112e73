// Polling, while the tab is visible.

// Calls `act` now, and again `every` milliseconds after each call has ended; not while the tab is hidden. `act` is async and
// does not throw; its signal is aborted once its result is no longer wanted. Gives `now`, which calls it at once, and `end`.
export function poll(every, act) {
  let timer = null;
  let call = new AbortController();
  let isOver = false;
  const now = () => {
    if (isOver) return;
    clearTimeout(timer);
    call.abort();
    const mine = new AbortController();
    call = mine;
    act(mine.signal).finally(() => {
      if (!mine.signal.aborted) timer = setTimeout(look, every);
    });
  };
  const look = () => {
    if (document.visibilityState === "visible") now();
  };
  const end = () => {
    isOver = true;
    document.removeEventListener("visibilitychange", look);
    clearTimeout(timer);
    call.abort();
  };
  document.addEventListener("visibilitychange", look);
  now();
  return { now, end };
}
