// The plans of faults that the test runs. Participants find them by name: 'shm with
// stalled-expert'.
const damaged = (type) => ({ type, attention: 0, expert: 1, frame: 2 });
/**
 * In a later step: a rank may begin its first one while others are further on, and is then waited
 * for only once it has caught up.
 */
const onceInStep = 13;
const once = (type, role, message = 1, ms = undefined) => ({
  type,
  role,
  rank: role === 'expert' ? 1 : 0,
  message,
  ms,
});

export const faultCases = {
  truncated: [damaged('truncate')],
  corrupted: [damaged('corrupt')],
  'wrong-routes': [damaged('corrupt-routes')],
  repeated: [damaged('repeat')],
  'late-expert': [once('stall', 'expert', 1, 150), once('stall', 'expert', 2, 150)],
  'late-attention': [once('stall', 'attention', 1, 150), once('stall', 'attention', 2, 150)],
  'stalled-expert': [once('stall', 'expert')],
  'stalled-attention': [once('stall', 'attention', onceInStep)],
  'lost-expert': [once('loss', 'expert')],
  'lost-attention': [once('loss', 'attention', onceInStep)],
};
