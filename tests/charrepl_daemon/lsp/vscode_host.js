// Stands in for VS Code around our extension: the `vscode` module with one document, driven by lines of JSON.
// node vscode_host.js EXTENSION, where EXTENSION is the directory of its package.json.
const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const readline = require('node:readline');

const extension = process.argv[2];
const manifest = JSON.parse(fs.readFileSync(path.join(extension, 'package.json')));
const properties = Object.entries(manifest.contributes.configuration.properties);
const values = Object.fromEntries(properties.map(([name, { default: value }]) => [name, value]));
const messages = []; // shown to the writer
const commands = new Map();
let provider; // of inline completions

class Disposable {
  constructor(dispose) { this.dispose = dispose; }
}

class EventEmitter {
  #listeners = new Set();
  event = (listener, self, disposables) => {
    const bound = listener.bind(self);
    this.#listeners.add(bound);
    const disposable = new Disposable(() => this.#listeners.delete(bound));
    disposables?.push(disposable);
    return disposable;
  };
  fire(data) { [...this.#listeners].forEach((listener) => listener(data)); }
  dispose() { this.#listeners.clear(); }
}
const never = new EventEmitter().event;

class Position {
  constructor(line, character) { Object.assign(this, { line, character }); }
}

class Range {
  constructor(...ends) {
    const [start, end] = ends.length === 2 ? ends
      : [new Position(ends[0], ends[1]), new Position(ends[2], ends[3])];
    Object.assign(this, { start, end });
  }
}

class InlineCompletionItem {
  constructor(insertText, range, command) { Object.assign(this, { insertText, range, command }); }
}

class InlineCompletionList {
  constructor(items) { this.items = items; }
}

class CancellationTokenSource {
  token = { isCancellationRequested: false, onCancellationRequested: never };
  cancel() { this.token.isCancellationRequested = true; }
  dispose() {}
}

class Uri {
  static parse(text) { return new Uri(text); }
  static file(file) { return new Uri(`file://${file}`); }
  constructor(text) { this.text = text; }
  get scheme() { return this.text.split(':')[0]; }
  get fsPath() { return this.text.replace('file://', ''); }
  toString() { return this.text; }
}

const edited = new EventEmitter();
const configured = new EventEmitter();
const document = {
  uri: undefined, languageId: 'plaintext', version: 1, text: '',
  getText() { return this.text; },
};

// All of the cursor's line, which is the last one: a document is typed at its end.
const line = () => document.text.split('\n').at(-1);
const cursor = () => new Position(document.text.split('\n').length - 1, line().length);

function put(text, from) { // in the place of what is behind `from`, a position of the last line
  const range = new Range(from, cursor());
  const kept = document.text.length - line().length + from.character;
  const change = { range, rangeOffset: kept, rangeLength: document.text.length - kept, text };
  document.text = document.text.slice(0, kept) + text;
  document.version += 1;
  edited.fire({ document, contentChanges: [change], reason: undefined });
}

function configuration(section) {
  const prefix = section ? `${section}.` : '';
  const found = Object.entries(values).filter(([name]) => name.startsWith(prefix));
  return {
    ...Object.fromEntries(found.map(([name, value]) => [name.slice(prefix.length), value])),
    get: (name, otherwise) => values[prefix + name] ?? otherwise,
    has: (name) => prefix + name in values,
    inspect: () => undefined,
    update: async (name, value) => configure({ [prefix + name]: value }),
  };
}

function configure(changed) {
  Object.assign(values, changed);
  const names = Object.keys(changed);
  configured.fire({ affectsConfiguration: (section) =>
    names.some((name) => name === section || name.startsWith(`${section}.`)) });
}

const show = async (message) => { messages.push(message); };
const log = () => {};
const known = {
  CancellationTokenSource, Disposable, EventEmitter, InlineCompletionItem, InlineCompletionList, Position,
  Range, Uri,
  ConfigurationTarget: { Global: 1 },
  InlineCompletionTriggerKind: { Invoke: 0, Automatic: 1 },
  version: manifest.engines.vscode.slice(1),
  env: { appName: 'Visual Studio Code', language: 'en' },
  commands: {
    registerCommand(name, run) {
      commands.set(name, run);
      return new Disposable(() => commands.delete(name));
    },
  },
  languages: {
    match: () => 10,
    registerInlineCompletionItemProvider(selector, given) {
      provider = given;
      return new Disposable(() => { provider = undefined; });
    },
    createDiagnosticCollection: () => ({ clear() {}, delete() {}, dispose() {} }),
  },
  window: {
    showErrorMessage: show, showInformationMessage: show, showWarningMessage: show,
    setStatusBarMessage: show,
    createOutputChannel: () => ({
      append: log, appendLine: log, trace: log, debug: log, info: log, warn: log, error: log, dispose() {},
      show() { messages.push('a panel has opened'); },
      onDidChangeLogLevel: never,
    }),
    tabGroups: { all: [], onDidChangeTabs: never },
    visibleTextEditors: [],
    onDidChangeActiveTextEditor: never, onDidChangeVisibleTextEditors: never,
  },
  workspace: {
    textDocuments: [], notebookDocuments: [], workspaceFolders: undefined,
    getConfiguration: configuration,
    onDidChangeConfiguration: configured.event, onDidChangeTextDocument: edited.event,
    onDidOpenTextDocument: never, onDidCloseTextDocument: never, onDidSaveTextDocument: never,
    onWillSaveTextDocument: never, onDidChangeWorkspaceFolders: never,
    onDidCreateFiles: never, onDidDeleteFiles: never, onDidRenameFiles: never,
    onWillCreateFiles: never, onWillDeleteFiles: never, onWillRenameFiles: never,
    onDidOpenNotebookDocument: never, onDidCloseNotebookDocument: never,
    onDidChangeNotebookDocument: never, onDidSaveNotebookDocument: never,
  },
};
// The client defines what it does for other features with classes and enumerations that nothing here uses.
const vscode = new Proxy(known, { get: (_, name) => known[name] ?? class {} });
const load = Module._load;
Module._load = (name, ...others) => (name === 'vscode' ? vscode : load(name, ...others));

// What a test can ask for.
const does = {
  async activate({ settings, file, text }) {
    Object.assign(values, settings);
    Object.assign(document, { uri: Uri.file(file), text });
    known.workspace.textDocuments.push(document);
    does.extension = require(path.join(extension, 'extension.js'));
    await does.extension.activate({ subscriptions: [] });
  },
  async type({ text }) { put(text, cursor()); },
  async ghosts() {
    const context = { triggerKind: known.InlineCompletionTriggerKind.Automatic, selectedCompletionInfo: undefined };
    const { token } = new CancellationTokenSource();
    const found = await provider?.provideInlineCompletionItems(document, cursor(), context, token);
    does.items = found?.items ?? []; // none, without a server
    return does.items.map(({ insertText }) => insertText);
  },
  async take() {
    const [{ insertText, range, command }] = does.items;
    put(insertText, range.start);
    await commands.get(command.command)(...command.arguments);
  },
  async run({ command }) { await commands.get(command)(); },
  async configure({ settings }) { configure(settings); },
  async text() { return document.text; },
  async messages() { return messages; },
  async deactivate() { await does.extension.deactivate(); },
};
readline.createInterface({ input: process.stdin }).on('line', async (said) => {
  const { what, ...how } = JSON.parse(said);
  let answer;
  try {
    answer = { result: await does[what](how) };
  } catch (error) {
    answer = { error: error.stack };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
