import Analysis
import ArgumentParser
import Foundation
import JSON
import Reporting

struct Report: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the verdict of a run that has ended.",
        discussion: "The exit code is the run's.")

    @Argument(help: "The directory of the run.", completion: .directory)
    var directory: String

    @Flag(help: "Print verdict.json.")
    var json = false

    func run() throws {
        let verdict: Verdict
        do {
            let data = try Data(contentsOf: URL(filePath: directory + "/verdict.json"))
            verdict = try Verdict(json: Value(parsing: Array(data)))
        } catch let error as VerdictError {
            printError("\(directory): \(error)")
            throw ExitStatus.badInput.code
        } catch let error as ParseError {
            printError("\(directory)/verdict.json: \(error)")
            throw ExitStatus.badInput.code
        } catch {
            printError(
                "\(directory): no verdict.json there; is it a run's directory, and has it ended?")
            throw ExitStatus.badInput.code
        }
        if json {
            print(verdict.json.canonical)
        } else {
            let report = TerminalReport(verdict, directory: directory)
            print(report.text(colour: isColourful(descriptor: 1)))
        }
        throw ExitCode(verdict.exitCode)
    }
}
