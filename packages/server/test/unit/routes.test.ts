import { describe, expect, it } from 'vitest';
import { chatUrl, completionUrl, hello, post, scriptedServer } from '@megascale/server/testing';

const get = (url: string, fixture = scriptedServer(), headers: Record<string, string> = {}) =>
  fixture.app.inject({ method: 'GET', url, headers });

describe('GET /v1/models', () => {
  const entry = { id: 'scripted', object: 'model', created: 1_700_000_000, owned_by: 'megascale' };

  it('lists the one model', async () => {
    expect((await get('/v1/models')).json()).toMatchObject({ object: 'list', data: [entry] });
  });

  it('shows it by name, slashes and all', async () => {
    expect((await get('/v1/models/scripted')).json()).toMatchObject(entry);
    const fixture = scriptedServer({ info: { name: 'org/model' } });
    expect((await get('/v1/models/org/model', fixture)).statusCode).toBe(200);
    expect((await get('/v1/models/org%2Fmodel', fixture)).statusCode).toBe(200);
  });

  it('knows no other, and neither do the generating routes', async () => {
    const expected = { error: { param: 'model', code: 'ERR_MODEL_UNKNOWN' } };
    const responses = [
      await get('/v1/models/other'),
      await post(scriptedServer(), completionUrl, { model: 'other', prompt: 'x' }),
      await post(scriptedServer(), chatUrl, { model: 'other', messages: hello }),
    ];
    for (const response of responses) {
      expect(response.statusCode).toBe(404);
      expect(response.json()).toMatchObject(expected);
    }
  });
});

describe('GET /health', () => {
  it('is 200 and shows the figures while the engine is ready', async () => {
    const response = await get('/health');
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({
      status: 'ready',
      model: 'scripted',
      topology: { type: 'disaggregated', expertWorkers: 2 },
      stats: { kvPagesTotal: 64 },
    });
  });

  it.each([
    ['failed', 'Expert worker 1 does not come back.'],
    ['draining', undefined],
    ['closed', undefined],
  ] as const)('is 503 with the reason when the engine is %s', async (state, reason) => {
    const stats = { state, ...(reason === undefined ? {} : { reason }) };
    const response = await get('/health', scriptedServer({ stats }));
    expect(response.statusCode).toBe(503);
    expect(response.json()).toMatchObject({
      status: state,
      reason: reason ?? (expect.stringMatching(/\S/) as string),
    });
  });
});

describe('GET /', () => {
  it('is one page that loads nothing from elsewhere and escapes what it shows', async () => {
    const response = await get('/', scriptedServer({ info: { name: '<b>&"model' } }));
    expect(response.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(response.headers['content-security-policy']).toMatch(/^default-src 'none';/);
    expect(response.body).toContain('&#60;b&#62;&#38;&#34;model');
    expect(response.body).toContain('2 expert workers');
    expect(response.body).not.toMatch(/(src|href)="(https?:)?\/\//);
  });

  it('has a script that parses', async () => {
    const { body } = await get('/');
    const script = /<script>([^]*)<\/script>/.exec(body)?.[1] ?? '';
    expect(script.length).toBeGreaterThan(100);
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- parses, never runs
    expect(() => new Function(script)).not.toThrow();
  });
});

describe('an unknown route', () => {
  it.each([
    ['GET', '/v2'],
    ['GET', completionUrl],
    ['DELETE', '/v1/models'],
    ['POST', '/v1/embeddings'],
  ] as const)('is a 404 in the same shape: %s %s', async (method, url) => {
    const response = await scriptedServer().app.inject({ method, url });
    expect(response.statusCode).toBe(404);
    expect(response.json()).toMatchObject({
      error: { type: 'invalid_request_error', param: null, code: 'ERR_REQUEST_INVALID' },
    });
  });

  it('with a broken escape is a 400 in the same shape', async () => {
    const response = await get('/v1/models/%zz');
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({ error: { code: 'ERR_REQUEST_INVALID' } });
  });
});

describe('with an API key', () => {
  const locked = () => scriptedServer({}, { apiKey: 'open sesame' });
  const routes = ['/', '/metrics', '/v1/models', '/v1/models/scripted', '/nowhere'];

  it.each(routes)('%s asks for it', async (url) => {
    for (const authorization of ['', 'Bearer wrong', 'Basic open sesame', 'open sesame']) {
      const response = await get(url, locked(), { authorization });
      expect(response.statusCode).toBe(401);
      expect(response.headers).toMatchObject({ 'www-authenticate': 'Bearer' });
      expect(response.json()).toMatchObject({
        error: { type: 'authentication_error', code: 'ERR_UNAUTHORIZED' },
      });
    }
  });

  it('nothing is generated without it', async () => {
    const fixture = locked();
    const response = await post(fixture, completionUrl, { prompt: 'x' });
    expect(response.statusCode).toBe(401);
    expect(fixture.model.calls).toEqual([]);
  });

  it('who has it is served, however the scheme is written', async () => {
    for (const authorization of ['Bearer open sesame', 'bearer open sesame']) {
      const response = await get('/v1/models', locked(), { authorization });
      expect(response.statusCode).toBe(200);
    }
  });

  it('/health stays open, but keeps the figures to itself', async () => {
    const response = await get('/health', locked());
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({ status: 'ready' });
    const trusted = await get('/health', locked(), { authorization: 'Bearer open sesame' });
    expect(trusted.json()).toMatchObject({ stats: { kvPagesTotal: 64 } });
  });
});
