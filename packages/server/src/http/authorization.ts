import { createHash, timingSafeEqual } from 'node:crypto';
import { RequestError } from '@megascale/core';

/**
 * Returns a function that says whether an Authorization header carries the key. It takes the same
 * time for every header, so that its time gives nothing of the key away.
 */
export function bearerCheck(apiKey: string): (header: string | undefined) => boolean {
  const expected = digest(`Bearer ${apiKey}`);
  return (header) => timingSafeEqual(digest(normalize(header ?? '')), expected);
}

export function unauthorized(): RequestError {
  return new RequestError('ERR_UNAUTHORIZED', {
    message:
      'No valid API key. Send the header "Authorization: Bearer KEY" with the key of this server.',
  });
}

/** The scheme's name is case-insensitive (RFC 9110, section 11.1). */
function normalize(header: string): string {
  return header.replace(/^bearer +/i, 'Bearer ');
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
