/** A scripted language model and a server over it, for the tests of this repository. */
export {
  chatUrl,
  completionUrl,
  eventsOf,
  hello,
  post,
  scriptedServer,
  steppingClock,
  type Fixture,
} from './http-fixture.js';
export { bosTokenId, ScriptedModel, type Script, type ScriptedCall } from './scripted-model.js';
