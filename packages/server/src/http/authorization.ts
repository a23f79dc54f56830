import { createHash, timingSafeEqual } from 'node:crypto';
import { RequestError } from '@megascale/core';

/** Says whether an Authorization header carries the key. Takes the same time whatever the header says. */
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
