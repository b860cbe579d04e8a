/** Lines of a table that are shown at once. */
export const SHOWN = 500;

// What scrolls can be reached by keyboard: a table that is wider than its frame is a stop for Tab, one that fits is none.

export function reach(frame: HTMLElement, name: string): { destroy: () => void } {
  const look = () => {
    if (frame.scrollWidth > frame.clientWidth + 1 || frame.scrollHeight > frame.clientHeight + 1) {
      frame.tabIndex = 0;
      frame.setAttribute('role', 'region');
      frame.setAttribute('aria-label', name);
    } else {
      for (const attribute of ['tabindex', 'role', 'aria-label']) frame.removeAttribute(attribute);
    }
  };
  const sizes = new ResizeObserver(look);
  const changes = new MutationObserver(look);
  sizes.observe(frame);
  changes.observe(frame, { childList: true, subtree: true });
  look();
  return {
    destroy: () => {
      sizes.disconnect();
      changes.disconnect();
    },
  };
}
