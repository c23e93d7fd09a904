/** One kind of failure that dstack reports: how to recognize it, and what to do about it. */
interface FailureKind<Code extends string> {
  readonly code: Code;
  /** Matched against dstack's output without the tables of a plan. */
  readonly pattern: RegExp;
  /** The next step, naming this server's tools. */
  readonly hint: string;
  readonly traits?: readonly Trait[];
}

/**
 * `failed`: the outcome, instead of `blocked`. `transient`: the same command may succeed if it is simply repeated. `permanent`: the same
 * command with the same file fails every time, while everything else may be fixed at any moment. `midway`: dstack may report this after
 * it began to act, so that a change may have been made.
 */
type Trait = 'failed' | 'transient' | 'permanent' | 'midway';

/** The next step after a change whose outcome is unknown. */
export const CHECK_STATE = 'Check the current state with ps, fleet or list before retrying.';

const CHECK_FILE = 'Validate the file with config, fix it with write_config, then plan again.';

// The first match counts, so specific patterns come before general ones. A pattern that begins with "anything" is anchored at the start
// of a line, and one in the middle of a line is bounded: a server or a job can print a line of megabytes, where a match would be tried at
// every position. Each comment names the source of the message: paths are relative to dstack/_internal in 0.22.5; 0.21.5 and 0.20.29 print
// the same unless noted.
const TABLE = [
  {
    code: 'unreachable', // api/server/__init__.py; requests, if a call has its own time limit or a response is cut off
    pattern:
      /Failed to connect to dstack server \S+|requests\.exceptions\.(?:ConnectionError|ChunkedEncodingError|\w*Timeout): .*/,
    hint: 'Use doctor to check which server the CLI uses and whether it responds, then try again.',
    traits: ['failed', 'transient', 'midway'],
  },
  {
    code: 'unauthorized', // api/server/__init__.py, on status 403
    pattern: /Access to \S+ is denied\. Please check your access token/,
    hint: 'The token is wrong or has no access to this project. `dstack project add` (or `dstack login`) fixes it; only the user can run it. Check with doctor.',
  },
  {
    code: 'not-dstack', // worker/wire_gate.py: a redirect
    pattern: /dstack-mcp did not send this request \(\S+\): it goes to another host.*/,
    hint: 'The server at that address redirects to another host (perhaps a sign-in page or a proxy). Check the URL with doctor.',
    traits: ['failed'],
  },
  {
    code: 'files-changed', // worker/wire_gate.py
    pattern: /dstack-mcp did not send this request \(\S+\): the files aren't those that were checked.*/,
    hint: 'A file that `files` names was changed or replaced while dstack read it. Plan again once nothing writes to it.',
  },
  {
    code: 'no-project', // worker/wire_gate.py
    pattern: /dstack-mcp did not send this request \(\S+\): it isn't known which server it goes to.*/,
    hint: 'This server found no URL for the project in ~/.dstack/config.yml, which no tool edits. doctor shows the project; ask the user to check the file.',
  },
  {
    code: 'not-sent', // worker/wire_gate.py
    pattern: /dstack-mcp did not send this request .*/,
    hint: 'The installed dstack sends requests that this server does not know. Check with doctor which dstack is used; a newer dstack-mcp may know it.',
  },
  {
    code: 'not-dstack', // an HTML page as the response: a sign-in page, a proxy, another server
    pattern: /(?:requests\.exceptions\.|json\.decoder\.)?JSONDecodeError: .*|^[^\S\n]*<(?:!DOCTYPE html|html)[\s>].*/im,
    hint: 'The server at that address is not a dstack server (perhaps a sign-in page or a proxy). Check the URL with doctor.',
    traits: ['failed', 'midway'],
  },
  {
    code: 'version-mismatch', // server/utils/routers.py
    pattern: /The client\/CLI version \(\S+\) is incompatible with the server version \(\S+\)\./,
    hint: "Install the CLI in the server's version; doctor shows both versions.",
  },
  {
    code: 'version-mismatch', // api/server/__init__.py: the server doesn't support the request
    pattern: /Status code 40[45] when requesting \S+/,
    hint: "The server doesn't support this request: it is older than the CLI, or it isn't a dstack server. Check with doctor.",
    traits: ['failed'],
  },
  {
    code: 'server-error', // api/server/__init__.py
    pattern: /Unexpected error: status code 5\d\d when requesting \S+/,
    hint: "The server failed. Check the current state (ps, fleet, list) before retrying; the cause is in the server's log.",
    traits: ['failed', 'transient', 'midway'],
  },
  {
    code: 'unknown-error', // api/server/__init__.py
    pattern: /Unexpected error: status code \d+ when requesting \S+/,
    hint: 'The server refused the request. Check with doctor.',
    traits: ['failed'],
  },
  {
    code: 'no-project', // core/services/api_client.py
    pattern:
      /No default project, specify project name|Project \S+ is not configured|DSTACK_SERVER_URL is set, but DSTACK_TOKEN is not set|but the project is not specified|The project name is not specified/,
    hint: 'list with type "projects" shows the configured projects: pass one as `project`. If there is none, ask the user to run `dstack project add` with the address and the token of their server.',
  },
  {
    code: 'missing-variable', // core/models/envs.py
    pattern: /Environment variable (\S+) is not set/,
    hint: 'Ask the user to set the variable in the environment of this server, or to store it with `dstack secret set` and reference it in the file as ${{ secrets.NAME }}.',
  },
  {
    code: 'name-invalid', // core/services/__init__.py
    pattern: /Resource name should match regex .*/,
    hint: 'Choose a name of 2 to 41 characters from a-z, 0-9 and `-` that starts with a letter. Change it with write_config, then plan again.',
    traits: ['permanent'],
  },
  {
    code: 'version-mismatch', // pydantic on the server's response, as a traceback: a field that this CLI doesn't know, or a missing one
    pattern: /pydantic[\w.]*\.ValidationError: [\s\S]*/,
    hint: "The CLI can't read the server's response because their versions differ too much. Install the CLI in the server's version; doctor shows both versions.",
    traits: ['failed', 'midway'],
  },
  {
    code: 'invalid-file', // pydantic through core/models/configurations.py; 0.20.29 uses pydantic 1, which prints the same header
    pattern: /^\d+ validation errors? for [\s\S]*/m,
    hint: `${CHECK_FILE} config also describes each property.`,
    traits: ['permanent'],
  },
  {
    code: 'no-project', // yaml, about dstack's own configuration (core/services/configs)
    pattern: /yaml\.\w+\.\w*Error: [^"]{0,200}"[^"]{0,4000}[/\\]\.dstack[/\\]config\.yml"[\s\S]*/,
    hint: "dstack's own configuration, ~/.dstack/config.yml, isn't valid YAML. No tool edits it: ask the user to fix it.",
  },
  {
    code: 'invalid-file', // yaml, as a traceback
    pattern: /yaml\.\w+\.\w*Error: [\s\S]*/,
    hint: `The file isn't valid YAML. ${CHECK_FILE}`,
  },
  {
    code: 'missing-file', // cli/services/configurators/__init__.py
    pattern:
      /Configuration file .* does not exist|No configuration file specified via `-f` and no default .*|Failed to load configuration from .*/,
    hint: 'Pass an existing *.dstack.yml file, or create one with write_config.',
  },
  {
    code: 'missing-file', // api/_public/runs.py
    pattern: /Path '.*' specified in `files` does not exist/,
    hint: 'Create that file, or correct the path in `files` with write_config, then plan again.',
  },
  {
    code: 'outside-folder', // cli/services/configurators/__init__.py: Path.relative_to, as a traceback
    pattern: /^ValueError: .* is not in the subpath of .*/m,
    hint: 'dstack only accepts configurations below the working directory. Move the file into the workspace, then plan again.',
  },
  {
    code: 'missing-variable', // utils/interpolator.py: `${{ secrets.NAME }}`, `${{ run.NAME }}`
    pattern: /Failed to interpolate due to missing vars: .*/,
    hint: 'The file refers to values that do not exist. A secret is set by the user with `dstack secret set` (list shows the names that are set); correct another name in the file with write_config, then plan again.',
  },
  {
    code: 'invalid-file', // cli/services/configurators/run.py, api/_public/runs.py, core/models: checks beyond the schema
    pattern:
      /working_dir must be absolute|Invalid repo path: .*|Port \d+ is already in use|`env` is currently supported for SSH fleets only|Server validation error: [\s\S]*/,
    hint: CHECK_FILE,
  },
  {
    code: 'profile-not-found', // api/utils.py
    pattern: /No such profile: .*/,
    hint: 'Profiles are defined in .dstack/profiles.yml of the workspace. Pass one of them or omit the profile, then plan again.',
  },
  {
    code: 'git-credentials', // cli/services/configurators/run.py, api/_public/repos.py
    pattern: /No valid default Git credentials found.*/,
    hint: 'dstack needs access to the repository: ask the user to run `dstack init` with a token or an identity file. Then plan again.',
  },
  {
    code: 'no-repository', // cli/services/repos.py
    pattern: /^Git repo (?:not found|in 'detached HEAD' state): .*|^Path (?:does not exist|is not a directory): .*/m,
    hint: '`repos` needs a Git repository on a branch. Correct its path, or send the folder with `files` instead, then plan again.',
  },
  {
    code: 'ssh-key', // cli/services/configurators/run.py, fleet.py
    pattern: /^(?:Unable to read the SSH key at|Unsupported or invalid SSH key at|Expected a private key at) .*/m,
    hint: 'Correct the path of the private key in the file (`identity_file`), or ask the user for it, then plan again.',
  },
  {
    code: 'no-gateway', // server/services/services/__init__.py
    pattern:
      /Auto-scaling is not supported when running services without a gateway\..*|^.*Please configure a gateway.*|The service requires a gateway, .*|Gateway status is not running|Gateway does not accept new services/m,
    hint: 'Check the gateways with list. Without a gateway, use write_config to set `replicas` to a fixed number and remove `https`, then plan again.',
  },
  {
    code: 'not-supported', // core/backends, server/services/gateways/__init__.py, server/services/exports.py, server/services/volumes.py
    pattern: /^.*(?:Backend \S+ not available\b|\b(?:is|are) not supported\b|does not support).*/m,
    hint: "The server or the backend doesn't support this. Use offer to see the available backends, and change the file with write_config.",
  },
  {
    code: 'in-use', // server/services/fleets.py, server/services/volumes.py
    pattern: /Failed to delete .{0,2000}?(?:in use|while the job is provisioning)\.?.*/,
    hint: 'Use ps to see which runs use it, stop them with stop, then delete again.',
  },
  {
    code: 'busy', // server/services/volumes.py, server/services/gateways/__init__.py
    pattern: /^.*being processed currently\. Try again later\.?/m,
    hint: 'The server is still processing it. Check with get or list, then try again.',
    traits: ['failed', 'transient'],
  },
  {
    code: 'image-unreadable', // server/services/jobs/configurators/base.py: the server reads the image's configuration while it plans
    pattern: /Error pulling configuration for image .*/,
    hint: "The dstack server reads the image from its registry to plan. Check the image's name and tag, `registry_auth` if it is private, and whether the server can reach the registry; then plan again.",
  },
  {
    code: 'not-found', // cli/commands/*.py, services/configurators/*.py (delete_configuration); `Fleet project=None name='x' not found` is cli/commands/fleet.py
    pattern:
      /^(?:Run|Fleet|Volume|Gateway|Project|Resource|Replica|Job)\b.*(?:not found|does not exist).*|^Failed to find replica=.*|^Run \S+ has no job matching .*/im,
    hint: 'Look up the name with ps (`all` includes finished runs), fleet, or list (volumes, gateways, secrets, projects).',
    traits: ['failed'],
  },
  {
    code: 'already-exists', // core/errors.py, server/services/*.py
    pattern: /^.*already exists\.?$|^Resource exists$/m,
    hint: 'Choose another name, or check the existing resource with get, fleet or list.',
  },
  {
    code: 'usage', // argparse, and cli/commands/__init__.py
    pattern:
      /^dstack[\w -]*: error: .*|Unrecognized arguments: .*|Invalid (?:datetime format|group-by value).*|Cannot group by .*/m,
    hint: 'Use help to see what this command accepts.',
    traits: ['failed', 'permanent'],
  },
  {
    code: 'no-answer', // rich's prompt on a closed standard input, as a traceback
    pattern: /EOFError: EOF when reading a line/,
    hint: 'dstack prompted for input; interactive prompts are not supported. Call plan first, then apply, stop or delete with its token.',
    traits: ['failed', 'midway'],
  },
  {
    code: 'interrupted', // cli/commands/apply.py, cli/utils/common.py
    pattern: /Operation interrupted by user\. Exiting\.\.\.|Cancelled by user|^KeyboardInterrupt$/m,
    hint: 'Check the current state with ps, get or fleet.',
    traits: ['failed', 'midway'],
  },
] as const satisfies readonly FailureKind<string>[];

/** The kind of a failure that dstack reported. */
export type FailureCode = (typeof TABLE)[number]['code'];

export const FAILURE_TABLE: readonly FailureKind<FailureCode>[] = TABLE;
