/** A way to make git start a program, and what fires it with plain git. */
export interface Plant {
  readonly kind: string
  /** Settings by their full name; `SCRIPT` stands for a program that leaves its mark. */
  readonly settings?: Readonly<Record<string, string>>
  readonly environment?: Readonly<Record<string, string>>
  readonly attributes?: string
  /** Counts in the configuration of the repository alone. @default false */
  readonly isOfRepository?: boolean
  /** Shell commands, in a repository with the commits `first` and `second` of `a.txt`, and `a.txt` edited. */
  readonly fire: string
}

/** Attributes that name the planted drivers and filters. */
export const evil = '* filter=evil diff=evil merge=evil'
const mergeBranches = `git checkout -q -f -b side first && echo side > a.txt && git commit -q -a -m side && git merge second`
const onTerminal = (command: string) => `script -qec '${command}' /dev/null`

export const plants: readonly Plant[] = [
  { kind: 'core.hooksPath', settings: { 'core.hooksPath': 'HOOKS' }, fire: 'git commit -q -a -m x' },
  { kind: 'core.fsmonitor', settings: { 'core.fsmonitor': 'SCRIPT' }, fire: 'git status' },
  {
    kind: 'clean filter',
    settings: { 'filter.evil.clean': 'SCRIPT', 'filter.evil.required': 'true' },
    attributes: evil,
    fire: 'git add a.txt',
  },
  {
    kind: 'smudge filter',
    settings: { 'filter.evil.smudge': 'SCRIPT' },
    attributes: evil,
    fire: 'git checkout -f -q first',
  },
  {
    kind: 'process filter',
    settings: { 'filter.evil.process': 'SCRIPT' },
    attributes: evil,
    fire: 'git add a.txt',
  },
  { kind: 'alias', settings: { 'alias.planted': '!SCRIPT' }, fire: 'git planted' },
  { kind: 'core.pager', settings: { 'core.pager': 'SCRIPT' }, fire: onTerminal('git log') },
  { kind: 'pager.<command>', settings: { 'pager.diff': 'SCRIPT' }, fire: onTerminal('git diff') },
  {
    kind: 'interactive.diffFilter',
    settings: { 'interactive.diffFilter': 'SCRIPT' },
    fire: onTerminal('git -c color.ui=always add -p'),
  },
  { kind: 'core.editor', settings: { 'core.editor': 'SCRIPT' }, fire: 'git commit -a' },
  {
    kind: 'sequence.editor',
    settings: { 'sequence.editor': 'SCRIPT' },
    fire: 'git checkout -q -f && git rebase -i HEAD~1',
  },
  {
    kind: 'credential.helper',
    settings: { 'credential.helper': '!SCRIPT' },
    fire: 'printf "protocol=https\\nhost=x\\n\\n" | git credential fill',
  },
  {
    kind: 'core.askPass',
    settings: { 'core.askPass': 'SCRIPT' },
    fire: 'printf "protocol=https\\nhost=x\\n\\n" | setsid git credential fill',
  },
  {
    kind: 'gpg.program',
    settings: { 'gpg.program': 'SCRIPT', 'commit.gpgSign': 'true', 'tag.gpgSign': 'true' },
    fire: 'git commit -q -a -m x',
  },
  {
    kind: 'core.sshCommand',
    settings: { 'core.sshCommand': 'SCRIPT' },
    fire: 'git ls-remote ssh://nowhere/x',
  },
  { kind: 'core.gitProxy', settings: { 'core.gitProxy': 'SCRIPT' }, fire: 'git ls-remote git://nowhere/x' },
  {
    kind: 'remote.<name>.uploadpack',
    settings: { 'remote.origin.url': 'REPOSITORY', 'remote.origin.uploadpack': 'SCRIPT' },
    fire: 'git ls-remote origin',
  },
  {
    kind: 'fetching of missing objects',
    settings: {
      'remote.origin.url': 'REPOSITORY',
      'remote.origin.uploadpack': 'SCRIPT',
      'remote.origin.promisor': 'true',
      'remote.origin.partialclonefilter': 'blob:none',
      'core.repositoryFormatVersion': '1',
      'extensions.partialClone': 'origin',
      'protocol.allow': 'always',
      'protocol.file.allow': 'always',
      'protocol.ext.allow': 'always',
    },
    isOfRepository: true,
    fire: 'git cat-file -p 1111111111111111111111111111111111111111',
  },
  {
    kind: 'uploadpack.packObjectsHook',
    settings: { 'uploadpack.packObjectsHook': 'SCRIPT' },
    fire: 'git clone -q --no-local . ../clone',
  },
  {
    kind: 'core.alternateRefsCommand',
    settings: { 'core.alternateRefsCommand': 'SCRIPT' },
    fire: 'git clone -q --shared . ../shared && git push -q ../shared first:refs/heads/x',
  },
  { kind: 'diff.external', settings: { 'diff.external': 'SCRIPT' }, fire: 'git diff' },
  {
    kind: 'diff driver',
    settings: { 'diff.evil.command': 'SCRIPT' },
    attributes: evil,
    fire: 'git diff',
  },
  {
    kind: 'textconv',
    settings: { 'diff.evil.textconv': 'SCRIPT' },
    attributes: evil,
    fire: 'git diff',
  },
  {
    kind: 'difftool',
    settings: { 'difftool.evil.cmd': 'SCRIPT', 'diff.tool': 'evil' },
    fire: 'git difftool -y',
  },
  {
    kind: 'merge driver',
    settings: { 'merge.evil.driver': 'SCRIPT' },
    attributes: evil,
    fire: mergeBranches,
  },
  {
    kind: 'trailer command',
    settings: { 'trailer.x.command': 'SCRIPT' },
    fire: 'echo x | git interpret-trailers --trailer x=y',
  },
  {
    kind: 'trailer cmd',
    settings: { 'trailer.y.cmd': 'SCRIPT' },
    fire: 'echo x | git interpret-trailers --trailer y=z',
  },
  {
    kind: 'submodule update command',
    settings: { 'submodule.sub.update': '!SCRIPT', 'submodule.recurse': 'true' },
    fire: `git clone -q . ../library && git -c protocol.file.allow=always submodule -q add ../library sub &&
      git -C sub checkout -q first && git submodule update`,
  },
  { kind: 'include.path', settings: { 'include.path': 'INCLUDED' }, fire: 'git status' },
  { kind: 'includeIf', settings: { 'includeIf.gitdir:/.path': 'INCLUDED' }, fire: 'git status' },
  {
    kind: 'init.templateDir',
    settings: { 'init.templateDir': 'TEMPLATE' },
    fire: 'git init -q ../made && cd ../made && git commit -q --allow-empty -m x',
  },
  { kind: 'GIT_EXTERNAL_DIFF', environment: { GIT_EXTERNAL_DIFF: 'SCRIPT' }, fire: 'git diff' },
  { kind: 'GIT_PAGER', environment: { GIT_PAGER: 'SCRIPT' }, fire: onTerminal('git log') },
  { kind: 'PAGER', environment: { PAGER: 'SCRIPT' }, fire: onTerminal('git log') },
  { kind: 'GIT_EDITOR', environment: { GIT_EDITOR: 'SCRIPT' }, fire: 'git commit -a' },
  { kind: 'EDITOR', environment: { EDITOR: 'SCRIPT' }, fire: 'git commit -a' },
  {
    kind: 'GIT_SEQUENCE_EDITOR',
    environment: { GIT_SEQUENCE_EDITOR: 'SCRIPT' },
    fire: 'git checkout -q -f && git rebase -i HEAD~1',
  },
  {
    kind: 'GIT_SSH_COMMAND',
    environment: { GIT_SSH_COMMAND: 'SCRIPT' },
    fire: 'git ls-remote ssh://nowhere/x',
  },
  { kind: 'GIT_SSH', environment: { GIT_SSH: 'SCRIPT' }, fire: 'git ls-remote ssh://nowhere/x' },
  {
    kind: 'GIT_PROXY_COMMAND',
    environment: { GIT_PROXY_COMMAND: 'SCRIPT' },
    fire: 'git ls-remote git://nowhere/x',
  },
  {
    kind: 'GIT_ASKPASS',
    environment: { GIT_ASKPASS: 'SCRIPT' },
    fire: 'printf "protocol=https\\nhost=x\\n\\n" | setsid git credential fill',
  },
  {
    kind: 'GIT_CONFIG_COUNT',
    environment: { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'core.fsmonitor', GIT_CONFIG_VALUE_0: 'SCRIPT' },
    fire: 'git status',
  },
  {
    kind: 'GIT_CONFIG_PARAMETERS',
    environment: { GIT_CONFIG_PARAMETERS: "'core.fsmonitor=SCRIPT'" },
    fire: 'git status',
  },
  { kind: 'GIT_CONFIG_GLOBAL', environment: { GIT_CONFIG_GLOBAL: 'INCLUDED' }, fire: 'git status' },
  { kind: 'GIT_CONFIG_SYSTEM', environment: { GIT_CONFIG_SYSTEM: 'INCLUDED' }, fire: 'git status' },
  {
    kind: 'GIT_TEMPLATE_DIR',
    environment: { GIT_TEMPLATE_DIR: 'TEMPLATE' },
    fire: 'git init -q ../made && cd ../made && git commit -q --allow-empty -m x',
  },
  { kind: 'GIT_EXEC_PATH', environment: { GIT_EXEC_PATH: 'EXECUTABLES' }, fire: 'git planted-too' },
  { kind: 'GIT_TRACE', environment: { GIT_TRACE: 'MARKER' }, fire: 'git status' },
  { kind: 'GIT_TRACE2_EVENT', environment: { GIT_TRACE2_EVENT: 'MARKER' }, fire: 'git status' },
]

/** Every hook that git or a tool around it knows. */
export const hooks = [
  'applypatch-msg',
  'commit-msg',
  'fsmonitor-watchman',
  'p4-changelist',
  'p4-post-changelist',
  'p4-pre-submit',
  'p4-prepare-changelist',
  'post-applypatch',
  'post-checkout',
  'post-commit',
  'post-index-change',
  'post-merge',
  'post-receive',
  'post-rewrite',
  'post-update',
  'pre-applypatch',
  'pre-auto-gc',
  'pre-commit',
  'pre-merge-commit',
  'pre-push',
  'pre-rebase',
  'pre-receive',
  'prepare-commit-msg',
  'proc-receive',
  'push-to-checkout',
  'reference-transaction',
  'sendemail-validate',
  'update',
]
