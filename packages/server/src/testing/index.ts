/** @megascale/server/testing: a scripted language model and a server over it. For this repository's tests. */
export * from './http-fixture.js';
export * from './scripted-model.js';
