#!/usr/bin/python3
"""weft bench against servers with one fault each: it must tell them apart, and say what is wrong.

    WEFT_BIN=/path/to/weft bench_faults.py
"""

import os
import sys

sys.dont_write_bytecode = True

from benching import FAILED, FINE, Case, report  # noqa: E402
from weft import main  # noqa: E402


class Faults(Case):
    """One message in 1,000 (or in 200, when time is what it takes) is spoilt: the counter for it must say how many, and
    no other anything."""

    def check(self, fault, counter, *flags):
        for every, model in ((1000, ['-n', '2000', '-r', '0', '-i', '4']), (200, ['-n', '500', '-r', '2k'])):
            with self.subTest(model + list(flags)):
                server = self.faulty(fault, every)
                code, told = report(server.url, '-c', '2', '--warmup', '0', '--grace', '500ms', *model, *flags)
                self.assertEqual(code, FAILED)
                self.only(told['errors'], counter)
                self.assertGreaterEqual(server.faults, 2)
                self.assertEqual(told['errors'][counter], server.faults)
                self.assertTrue(told['verdict']['failed'])

    def test_none(self):
        code, told = report(self.faulty(None).url, '-c', '2', '-n', '2000', '-r', '2k', '--warmup', '0')
        self.assertIn(code, FINE)
        self.only(told['errors'])

    def test_drop(self):
        self.check('drop', 'lost')

    def test_duplicate(self):
        self.check('duplicate', 'duplicated')

    def test_reorder(self):
        self.check('reorder', 'reordered')

    def test_corrupt(self):
        self.check('corrupt', 'corrupt')
        self.check('corrupt', 'corrupt', '--size', '16')
        self.check('corrupt', 'corrupt', '--size', '16..4096', '-b')
        self.check('corrupt', 'corrupt', '-m', 'always the same')

    def test_truncate(self):
        self.check('truncate', 'corrupt')
        self.check('truncate', 'corrupt', '-m', 'always the same')

    def test_wrong_opcode(self):
        self.check('opcode', 'wrong_opcode')
        self.check('opcode', 'wrong_opcode', '-b')
        self.check('opcode', 'wrong_opcode', '-m', 'hi')

    def test_stray(self):
        server = self.faulty('stray')
        code, told = report(server.url, '-c', '1', '-n', '1000', '-r', '1k', '--warmup', '0')
        self.assertEqual(code, FAILED)
        self.assertGreaterEqual(told['errors']['stray'] + told['errors']['corrupt'], 1)

    def test_a_greeting_is_stray_unless_it_is_known(self):
        for flags, expected in (([], 2), (['--skip', '1'], 0)):
            code, told = report(self.faulty('greeting').url, '-c', '2', '-n', '20', '-r', '0', '--warmup', '0', *flags)
            self.assertEqual(told['errors']['stray'], expected)
            self.assertIn(code, FINE if flags else (FAILED,))

    def test_fan_out(self):
        """One delivery of one message in 200 is spoilt."""
        for fault, counter, complete in (('drop', 'lost', 398), ('duplicate', 'duplicated', 400), ('corrupt',
                                                                                                   'corrupt', 398),
                                         ('opcode', 'wrong_opcode', 400), (None, None, 400)):
            with self.subTest(fault):
                code, told = report(self.faulty(fault, 200, True).url, '--pub', '1', '--sub', '5', '-n', '400', '-r',
                                    '1k',
                                    '--warmup', '0', '--grace', '500ms')
                self.only(told['errors'], *filter(None, [counter]))
                self.assertEqual((told['totals']['expected'], told['totals']['complete']), (2000, complete))
                if fault:
                    self.assertEqual((code, told['errors'][counter]), (FAILED, 2))
                else:
                    self.assertIn(code, FINE)

    def lines(self):
        path = os.path.join(self.folder(), 'lines')
        with open(path, 'w') as file:
            file.write(''.join(f'message {n}\n' for n in range(97)))
        return path

    def test_order_and_loss_among_messages_of_a_file(self):
        for fault, counter in (('drop', 'lost'), ('duplicate', 'duplicated'), ('reorder', 'reordered')):
            self.check(fault, counter, '--messages', self.lines())

    def test_what_is_bearable_is_the_users_to_say(self):
        for rule, expected in (('lost>5', FINE), ('missing>5', FINE), ('errors>5', FINE), ('lost>0', (FAILED,)),
                               ('corrupt>5', (FAILED,))):
            code, told = report(self.faulty('drop', 200).url, '-c', '2', '-n', '500', '-r', '2k', '--warmup', '0',
                                '--fail-if', rule)
            self.assertIn(code, expected, rule)
            self.assertEqual(told['errors']['lost'], 2)


if __name__ == '__main__':
    main()
