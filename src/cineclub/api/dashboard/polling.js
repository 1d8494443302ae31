/** Periodic work while the tab is visible. */

/**
 * Do work now and again `milliseconds` after each end, never while the tab is hidden; return a function that stops it.
 * Work that returns `false` is not repeated.
 */
export function every(milliseconds, work) {
  let timer = 0;
  let isStopped = false;
  let isAtWork = false;

  async function turn() {
    clearTimeout(timer);
    if (isStopped || isAtWork || document.hidden) return;
    isAtWork = true;
    let goesOn = true;
    try {
      goesOn = await work();
    } finally {
      isAtWork = false;
      if (goesOn === false) stop();
      else if (!isStopped) timer = setTimeout(turn, milliseconds);
    }
  }

  function stop() {
    isStopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", turn);
  }

  document.addEventListener("visibilitychange", turn);
  turn();
  return stop;
}
