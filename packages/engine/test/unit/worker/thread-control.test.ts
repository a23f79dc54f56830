import { describe, expect, it } from 'vitest';
import { ThreadControl } from '../../../src/worker/thread-control.js';

describe('ThreadControl', () => {
  it('is silent while all is well', () => {
    expect(new ThreadControl().stopReason()).toBeUndefined();
  });

  it('tells the other side of the memory who was lost', () => {
    const main = new ThreadControl();
    const data = new ThreadControl(main.memory);
    main.reportLost('expert', 3);
    expect(data.stopReason()).toBe('expert worker 3 was lost');
  });

  it('keeps the first reason: a stop after a loss does not hide the loss', () => {
    const control = new ThreadControl();
    control.reportLost('attention', 1);
    control.stop();
    expect(control.stopReason()).toBe('attention worker 1 was lost');
  });
});
