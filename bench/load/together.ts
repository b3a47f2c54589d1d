/** When those who share a job begin. It must never know how they tell each other. */

/** Resolves when everybody who shares the work is ready to begin. */
export type Together = () => Promise<void>;

/** With nobody to wait for. */
export const alone: Together = () => Promise.resolve();
