// Ghost text from `charrepl lsp` in VS Code: starts the language server, and hands it the settings.
const vscode = require('vscode');
const { CloseAction, ErrorAction, LanguageClient, RevealOutputChannelOn } = require('vscode-languageclient/node');

const SECTION = 'charrepl';
const RESTARTS = 3; // of a server that ends by itself, until it has answered again

let client;
let changing = Promise.resolve(); // starts and stops, one after the other

// What the server understands of the settings: all but how it is started.
function settings(resource) {
  const { command, ...others } = vscode.workspace.getConfiguration(SECTION, resource);
  return Object.fromEntries(Object.entries(others).filter(([, value]) => typeof value !== 'function'));
}

class Client extends LanguageClient {
  showNotificationMessage() {} // its own: what a writer can do about it, we say
}

function newClient() {
  const [command, ...args] = vscode.workspace.getConfiguration(SECTION).get('command');
  let restarts = 0;
  const options = {
    documentSelector: [{ scheme: 'file' }, { scheme: 'untitled' }],
    initializationOptions: settings(),
    // No panel opens while somebody writes.
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationFailedHandler: () => false,
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => ({
        action: restarts++ < RESTARTS ? CloseAction.Restart : CloseAction.DoNotRestart,
        handled: true,
      }),
    },
    middleware: {
      provideInlineCompletionItems: async (document, position, context, token, next) => {
        const found = await next(document, position, context, token);
        restarts = 0;
        return found;
      },
      workspace: {
        configuration: ({ items }) =>
          items.map(({ section, scopeUri }) =>
            section === SECTION ? settings(scopeUri && vscode.Uri.parse(scopeUri)) : null),
      },
    },
  };
  return new Client(SECTION, 'charrepl', { command, args }, options);
}

async function start() {
  const [program] = vscode.workspace.getConfiguration(SECTION).get('command');
  client = newClient();
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    const said = error.message ?? error; // what goes wrong before the program runs is told as a string
    const why = said.includes('ENOENT') ? 'there is no such program' : said;
    vscode.window.showWarningMessage(
      `charrepl: ${program} did not start: ${why}. Put the whole path of charrepl into the setting charrepl.command.`);
  }
}

async function stop() {
  const last = client;
  client = undefined;
  await last?.dispose();
}

function restart() {
  changing = changing.then(stop).then(start);
  return changing;
}

async function toggle() {
  const configuration = vscode.workspace.getConfiguration(SECTION);
  const on = !configuration.get('enabled');
  await configuration.update('enabled', on, vscode.ConfigurationTarget.Global);
  vscode.window.setStatusBarMessage(`charrepl: ghosts are ${on ? 'on' : 'off'}`, 4000);
}

function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand('charrepl.restart', restart),
    vscode.commands.registerCommand('charrepl.toggle', toggle),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration(`${SECTION}.command`)) {
        restart();
      }
    }),
  );
  return restart();
}

function deactivate() {
  changing = changing.then(stop);
  return changing;
}

module.exports = { activate, deactivate };
